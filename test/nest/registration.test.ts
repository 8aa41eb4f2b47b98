import { Injectable, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer, NestFactory } from '@nestjs/core';
import { describe, expect, test } from 'vitest';
import {
  AppRegistration,
  DiscoveryModule,
  ServiceRegistry,
  type BeforeServiceRegister,
  type DiscoveryModuleOptions,
  type Lease,
  type RegistrationDraft,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createApp, init, listen, LogCollector, portOf, registered } from './support.js';

function moduleWith(registry: InMemoryRegistry, options: DiscoveryModuleOptions, providers: unknown[] = []): unknown {
  const backend = registry.backend();
  @Module({
    providers: providers as [],
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, ...options })],
  })
  class AppModule {}
  return AppModule;
}

describe('when the app registers', () => {
  test('there is no address at bootstrap, and the registered port is the one that listens', async () => {
    const seen: unknown[] = [];
    @Injectable()
    class Probe implements OnApplicationBootstrap {
      constructor(private readonly host: HttpAdapterHost) {}
      onApplicationBootstrap(): void {
        seen.push((this.host.httpAdapter.getHttpServer() as { address(): unknown }).address());
      }
    }
    const registry = new InMemoryRegistry();
    const app = await listen(moduleWith(registry, { service: { name: 'STOCK', metadata: { version: '1' } } }, [Probe]));
    // As soon as it listens there is a lease to wait for.
    await app.get(AppRegistration).lease?.registered;
    expect(seen).toEqual([null]);
    expect(registry.instancesOf('STOCK')[0]).toMatchObject({
      host: '127.0.0.1',
      port: portOf(app),
      scheme: 'http',
      status: 'UP',
      metadata: { version: '1' },
    });
  });

  test.each([
    [
      'that throws whatever one asks it for (nestjs-cls)',
      () => {
        const refuse = (): never => {
          throw new Error('no request is under way');
        };
        return new Proxy({}, { get: refuse, has: refuse });
      },
    ],
    [
      'that has whatever one asks it for, and never answers (auto-mocks)',
      () => new Proxy({}, { get: (_, key) => (key === 'then' ? undefined : () => new Promise(() => {})) }),
    ],
  ])('a provider %s doesn’t keep the app from registering', async (_, make) => {
    const registry = new InMemoryRegistry();
    const proxy = { provide: 'PROXY', useFactory: () => ({ proxy: make() }) };
    // Nest itself asks a provider for its hooks: the proxy is there when we look, and not when Nest does.
    const app = await init(moduleWith(registry, { service: { name: 'STOCK' } }, [proxy]));
    const [wrapper] = [...app.get(ModulesContainer).values()].flatMap((module) => module.providers.get('PROXY') ?? []);
    if (wrapper !== undefined) wrapper.instance = make();
    await app.listen(0, '127.0.0.1');
    await expect.poll(() => registry.instancesOf('STOCK').length).toBe(1);
    if (wrapper !== undefined) wrapper.instance = {};
  });

  test('init without listen registers nothing', async () => {
    const registry = new InMemoryRegistry();
    const app = await init(moduleWith(registry, { service: { name: 'STOCK' } }));
    expect(app.get(ServiceRegistry).leases).toEqual([]);
    expect(app.get(AppRegistration).isReady).toBe(false);
  });

  test('an explicit host and port win over the bound ones', async () => {
    const registry = new InMemoryRegistry();
    await listen(
      moduleWith(registry, { service: { name: 'STOCK', host: 'stock.example', port: 8443, scheme: 'https' } }),
    );
    await expect.poll(() => registry.instancesOf('STOCK')[0]?.url).toBe('https://stock.example:8443');
  });

  test('an app without a service registers nothing', async () => {
    const registry = new InMemoryRegistry();
    const app = await listen(moduleWith(registry, {}));
    expect(app.get(ServiceRegistry).leases).toEqual([]);
    await expect(app.get(AppRegistration).register()).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'service',
    });
  });

  test('manual registration waits to be asked', async () => {
    const registry = new InMemoryRegistry();
    const app = await listen(moduleWith(registry, { service: { name: 'STOCK' }, registration: 'manual' }));
    expect(app.get(ServiceRegistry).leases).toEqual([]);
    const [lease, again] = await Promise.all([
      app.get(AppRegistration).register(),
      app.get(AppRegistration).register(),
    ]);
    await lease.registered;
    expect(again).toBe(lease);
    expect(app.get(AppRegistration).isReady).toBe(true);
    expect(registry.instancesOf('STOCK')).toHaveLength(1);
  });

  test('a standalone app with an explicit port registers at bootstrap; without one it says so', async () => {
    const registry = new InMemoryRegistry();
    const module = moduleWith(registry, { service: { name: 'WORKER', host: '10.0.0.1', port: 7000 } });
    const app = await NestFactory.createApplicationContext(module as never, { logger: false });
    await expect.poll(() => registry.instancesOf('WORKER').length).toBe(1);
    await app.close();
    expect(registry.instancesOf('WORKER')).toEqual([]);

    const logger = new LogCollector();
    const silent = await NestFactory.createApplicationContext(
      moduleWith(registry, { service: { name: 'WORKER' } }) as never,
      { logger },
    );
    expect(logger.warnings().join()).toContain('WORKER has no server that listens');
    await silent.close();
  });
});

describe('a registry that is down at the start', () => {
  test('in the background: the app serves, and is registered when the registry is back', async () => {
    const registry = new InMemoryRegistry();
    registry.fail();
    const app = await listen(moduleWith(registry, { service: { name: 'STOCK' }, configOptions: { optional: true } }));
    const { lease } = app.get(AppRegistration);
    await expect.poll(() => app.get(AppRegistration).lease?.state.current.phase).toBe('retrying');
    // An outage of the registry keeps no app from serving those who know it.
    expect(app.get(AppRegistration).isReady).toBe(true);
    registry.recover();
    await expect.poll(() => registry.instancesOf('STOCK').length, { timeout: 20_000 }).toBe(1);
    await (lease ?? app.get(AppRegistration).lease)?.registered;
  });

  test('fail-fast: the app does not start, and the error names the registry', async () => {
    const registry = new InMemoryRegistry();
    registry.fail();
    const app = await createApp(
      moduleWith(registry, {
        service: { name: 'STOCK' },
        registration: 'fail-fast',
        registrationTimeoutMs: 200,
        configOptions: { optional: true },
      }),
    );
    await expect(app.init()).rejects.toMatchObject({ code: 'REGISTRATION_FAILED', backend: 'in-memory' });
  });

  test('fail-fast with a registry that answers starts', async () => {
    const registry = new InMemoryRegistry();
    const app = await listen(moduleWith(registry, { service: { name: 'STOCK' }, registration: 'fail-fast' }));
    await registered(app);
  });
});

describe('registration hooks', () => {
  test('may change the draft, in order, and hear of the lease', async () => {
    const registered: Lease[] = [];
    @Injectable()
    class First implements BeforeServiceRegister {
      async beforeServiceRegister(draft: RegistrationDraft): Promise<void> {
        draft.metadata = { ...draft.metadata, first: 'yes' };
        draft.weight = 3;
      }
    }
    @Injectable()
    class Second {
      beforeServiceRegister(draft: RegistrationDraft): void {
        draft.metadata = { ...draft.metadata, second: String(draft.metadata?.['first']) };
      }
      onServiceRegistered(lease: Lease): void {
        registered.push(lease);
      }
    }
    const registry = new InMemoryRegistry();
    const app = await listen(moduleWith(registry, { service: { name: 'STOCK' } }, [First, Second]));
    await expect.poll(() => registered.length).toBe(1);
    expect(registry.instancesOf('STOCK')[0]).toMatchObject({ weight: 3, metadata: { first: 'yes', second: 'yes' } });
    expect(registered[0]).toBe(app.get(AppRegistration).lease);
  });

  test('a hook that makes the draft invalid keeps the app unregistered, with one clear error', async () => {
    const registry = new InMemoryRegistry();
    const logger = new LogCollector();
    const hook = { beforeServiceRegister: (draft: RegistrationDraft) => void (draft.port = 70_000) };
    await listen(moduleWith(registry, { service: { name: 'STOCK' } }, [{ provide: 'hook', useValue: hook }]), logger);
    await expect
      .poll(() => logger.lines.join('\n'))
      .toContain('port must be a whole number from 1 to 65535, got 70000');
    expect(registry.instancesOf('STOCK')).toEqual([]);
  });

  test('status and metadata can be changed while registered', async () => {
    const registry = new InMemoryRegistry();
    const app = await listen(moduleWith(registry, { service: { name: 'STOCK' } }));
    await registered(app);
    await app.get(ServiceRegistry).setStatus('OUT_OF_SERVICE');
    expect(registry.instancesOf('STOCK')[0]?.status).toBe('OUT_OF_SERVICE');
    await app.get(AppRegistration).lease?.update({ metadata: { a: '1' } });
    expect(registry.instancesOf('STOCK')[0]?.metadata).toEqual({ a: '1' });
  });

  test('another service of the same app is one call', async () => {
    const registry = new InMemoryRegistry();
    const app = await init(moduleWith(registry, {}));
    const lease = app.get(ServiceRegistry).register({ service: 'ADMIN', host: '10.0.0.1', port: 9000 });
    await lease.registered;
    expect(registry.instancesOf('ADMIN')).toHaveLength(1);
    await app.close();
    expect(registry.instancesOf('ADMIN')).toEqual([]);
  });
});

describe('several registries', () => {
  test('the app registers in all that register, and reads are merged', async () => {
    const eureka = new InMemoryRegistry();
    const consul = new InMemoryRegistry();
    const readOnly = new InMemoryRegistry();
    readOnly.addInstance('STOCK', { host: '10.9.9.9', port: 80 });
    @Module({
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'STOCK' },
          registry: [
            eureka.backend({ name: 'a' }),
            consul.backend({ name: 'b' }),
            { backend: readOnly.backend({ name: 'c' }), register: false },
          ],
          config: eureka.backend({ name: 'cfg' }),
        }),
      ],
    })
    class AppModule {}
    const app = await listen(AppModule);
    await registered(app);
    expect([eureka, consul].map((registry) => registry.instancesOf('STOCK').length)).toEqual([1, 1]);
    expect(readOnly.instancesOf('STOCK')).toHaveLength(1);
    const { DiscoveryClient } = await import('../../lib/index.js');
    const urls = async (): Promise<string[]> =>
      (await app.get(DiscoveryClient).getInstances('STOCK')).map((instance) => instance.url).sort();
    await expect.poll(urls).toEqual(['http://10.9.9.9:80', `http://127.0.0.1:${portOf(app)}`].sort());
    consul.fail();
    await expect.poll(async () => (await app.get(DiscoveryClient).getSnapshot('STOCK')).partial).toEqual(['b']);
    expect(await urls()).toHaveLength(2);
  });
});
