import { Injectable, Module, type Type } from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import {
  AppRegistration,
  DiscoveryModule,
  EventHub,
  HealthCheckOf,
  type DiscoveryModuleOptions,
  type InstanceStatus,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createApp, init, listen, LogCollector, registered } from './support.js';

function appModule(
  registry: InMemoryRegistry,
  options: Partial<DiscoveryModuleOptions> = {},
  providers: Type[] = [],
): Type {
  @Module({ providers })
  class FeatureModule {}
  @Module({
    imports: [
      FeatureModule,
      DiscoveryModule.forRoot({
        service: { name: 'STOCK' },
        registry: registry.backend(),
        config: registry.backend({ name: 'c' }),
        ...options,
      }),
    ],
  })
  class AppModule {}
  return AppModule;
}

function statusOf(registry: InMemoryRegistry): InstanceStatus | undefined {
  return registry.instancesOf('STOCK')[0]?.status;
}

const QUICK = { intervalMs: 10, timeoutMs: 50 };

/** A check whose answer a test sets. */
function healthOf(): { provider: Type; answer: () => unknown; set(answer: () => unknown): void } {
  const held = { answer: (): unknown => undefined };
  @Injectable()
  class Database {
    @HealthCheckOf('db')
    check(): unknown {
      return held.answer();
    }
  }
  return { provider: Database, answer: held.answer, set: (answer) => (held.answer = answer) };
}

describe('health drives the status', () => {
  test.each<[string, () => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('no connection');
      },
      'db: no connection',
    ],
    ['rejects', () => Promise.reject(new Error('no connection')), 'db: no connection'],
    ['answers false', () => false, 'db: it answered false'],
    ['never answers', () => new Promise(() => {}), 'db: it took longer than 50 ms'],
    ['answers nonsense', () => 'banana', 'db: its answer is none'],
    ['has a bad result of Terminus', () => ({ db: { status: 'down', message: 'gone' } }), 'db: db is down: gone'],
    [
      'has a bad health check of Terminus',
      () => Promise.resolve({ status: 'error', details: {} }),
      'db: its status is error',
    ],
  ])('a check that %s: DOWN at the registry, UP again when it is well', async (_name, bad, reason) => {
    const registry = new InMemoryRegistry();
    const health = healthOf();
    const logger = new LogCollector();
    const app = await listen(
      appModule(registry, { service: { name: 'STOCK', health: QUICK } }, [health.provider]),
      logger,
    );
    await registered(app);
    expect(statusOf(registry)).toBe('UP');
    expect(app.get(AppRegistration).isReady).toBe(true);

    health.set(bad);
    await expect.poll(() => statusOf(registry)).toBe('DOWN');
    const { ready, reasons } = app.get(AppRegistration).readiness;
    expect(ready).toBe(false);
    expect(reasons.join()).toContain(reason.slice(0, 20));
    expect(app.get(AppRegistration).isLive).toBe(true);

    health.set(() => ({ db: { status: 'up' } }));
    await expect.poll(() => statusOf(registry)).toBe('UP');
    expect(app.get(AppRegistration).isReady).toBe(true);
    const told = logger.lines.filter((line) => line.includes('healthy'));
    expect(told).toHaveLength(2);
    expect(told[0]).toContain(reason);
  });

  test('an app that is ill at its start is never registered as UP', async () => {
    const registry = new InMemoryRegistry();
    const health = healthOf();
    health.set(() => false);
    const app = await createApp(appModule(registry, { service: { name: 'STOCK', health: QUICK } }, [health.provider]));
    const seen: (InstanceStatus | undefined)[] = [];
    app.get(EventHub).subscribe((event) => {
      if (event.type === 'registration.registered') seen.push(event.status);
    });
    await app.listen(0, '127.0.0.1');
    await registered(app);
    health.set(() => true);
    await expect.poll(() => statusOf(registry)).toBe('UP');
    expect(seen).toEqual(['DOWN', 'UP']);
  });

  test('STARTING, when asked for, until the first good round; DOWN only after that', async () => {
    const registry = new InMemoryRegistry();
    let well = false;
    const app = await listen(
      appModule(registry, {
        service: { name: 'STOCK', health: { ...QUICK, check: () => well, initialStatus: 'STARTING' } },
      }),
    );
    await registered(app);
    expect(statusOf(registry)).toBe('STARTING');
    well = true;
    await expect.poll(() => statusOf(registry)).toBe('UP');
    well = false;
    await expect.poll(() => statusOf(registry)).toBe('DOWN');
  });

  test('flapping wears off: who falls soon after rising must be well for longer', async () => {
    const registry = new InMemoryRegistry();
    let round = 0;
    const app = await createApp(
      appModule(registry, { service: { name: 'STOCK', health: { ...QUICK, check: () => (round += 1) % 2 === 0 } } }),
    );
    let changes = 0;
    app.get(EventHub).subscribe((event) => {
      if (event.type === 'health.changed') changes += 1;
    });
    await app.listen(0, '127.0.0.1');
    await expect.poll(() => round).toBeGreaterThan(30);
    // Down, up, down; after that every second good round is too few.
    expect(changes).toBeLessThanOrEqual(3);
    expect(statusOf(registry)).toBe('DOWN');
  });

  test('so many bad rounds on end as it was told', async () => {
    const registry = new InMemoryRegistry();
    let bad = 0;
    const app = await listen(
      appModule(registry, {
        service: {
          name: 'STOCK',
          health: { ...QUICK, failuresToDown: 3, check: () => (bad > 0 ? ((bad -= 1), false) : true) },
        },
      }),
    );
    await registered(app);
    bad = 2;
    await expect.poll(() => bad).toBe(0);
    expect(statusOf(registry)).toBe('UP');
    bad = 1000;
    await expect.poll(() => statusOf(registry)).toBe('DOWN');
    expect(bad).toBeLessThanOrEqual(997);
  });
});

describe('the operator’s word', () => {
  test('wins over health, and stays through a new registration, until it is taken back', async () => {
    const registry = new InMemoryRegistry();
    const app = await listen(
      appModule(registry, { service: { name: 'STOCK', health: { ...QUICK, check: () => true } } }),
    );
    await registered(app);
    const registration = app.get(AppRegistration);
    await registration.pause('draining for maintenance');
    expect(statusOf(registry)).toBe('OUT_OF_SERVICE');
    expect(registration.readiness.reasons).toEqual(['it is paused: draining for maintenance']);
    registry.fail();
    registry.recover();
    await registered(app);
    expect(statusOf(registry)).toBe('OUT_OF_SERVICE');
    await registration.resume();
    expect(statusOf(registry)).toBe('UP');
    expect(registration.isReady).toBe(true);
  });

  test('counts from the first registration on', async () => {
    const registry = new InMemoryRegistry();
    const app = await createApp(appModule(registry));
    await app.get(AppRegistration).pause('not yet');
    await app.listen(0, '127.0.0.1');
    await registered(app);
    expect(statusOf(registry)).toBe('OUT_OF_SERVICE');
  });
});

describe('readiness', () => {
  test('waits for the services that the app requires, and says which are missing', async () => {
    const registry = new InMemoryRegistry();
    const logger = new LogCollector();
    const app = await listen(
      appModule(registry, { service: { name: 'SHOP' }, requires: ['STOCK', { name: 'DB', atLeast: 2 }] }),
      logger,
    );
    const registration = app.get(AppRegistration);
    expect(registration.readiness).toEqual({
      ready: false,
      reasons: ['requires 1 of STOCK, of which 0 can be called', 'requires 2 of DB, of which 0 can be called'],
      stopping: false,
    });
    registry.addInstance('STOCK', { host: '10.0.0.1', port: 80 });
    registry.addInstance('DB', { host: '10.0.0.2', port: 80 });
    await expect.poll(() => registration.readiness.reasons).toEqual(['requires 2 of DB, of which 1 can be called']);
    registry.addInstance('DB', { host: '10.0.0.3', port: 80 });
    await expect.poll(() => registration.isReady).toBe(true);
    // A registry that is down takes nobody out.
    registry.fail();
    expect(registration.isReady).toBe(true);
    registry.recover();
    expect(logger.lines.filter((line) => line.includes('takes no traffic: requires 1 of STOCK'))).toHaveLength(1);
  });

  test('is there for apps that register nothing, and depends on the registration only when asked', async () => {
    const registry = new InMemoryRegistry();
    const caller = await listen(appModule(registry, { service: undefined as never }));
    expect(caller.get(AppRegistration).isReady).toBe(true);
    registry.fail();
    const strict = await listen(
      appModule(registry, { readiness: { registered: true }, configOptions: { optional: true } }),
    );
    expect(strict.get(AppRegistration).readiness.reasons).toEqual(['it is not registered']);
    registry.recover();
    await expect.poll(() => strict.get(AppRegistration).isReady, { timeout: 20_000 }).toBe(true);
  });
});

describe('probes on a port of their own', () => {
  const get = async (port: number | undefined, path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  };

  test('answer as Kubernetes’s own components do, until everything is closed', async () => {
    const registry = new InMemoryRegistry();
    const health = healthOf();
    const app = await listen(
      appModule(
        registry,
        {
          service: { name: 'STOCK', health: QUICK },
          probes: { port: 0, host: '127.0.0.1' },
          shutdown: { propagationDelayMs: 300 },
        },
        [health.provider],
      ),
    );
    await registered(app);
    const { probePort } = app.get(AppRegistration);
    expect(await get(probePort, '/livez')).toEqual([200, 'ok\n']);
    expect(await get(probePort, '/readyz?verbose')).toEqual([200, 'ok\n']);
    expect((await get(probePort, '/'))[0]).toBe(404);
    health.set(() => false);
    await expect.poll(() => get(probePort, '/readyz')).toEqual([503, '[-] db: it answered false\n']);
    expect(await get(probePort, '/livez')).toEqual([200, 'ok\n']);
    const closed = app.close();
    expect(await get(probePort, '/readyz')).toEqual([503, '[-] it is shutting down\n']);
    expect(await get(probePort, '/livez')).toEqual([200, 'ok\n']);
    await closed;
    await expect(get(probePort, '/livez')).rejects.toThrow();
  });

  test('a port that is taken is an error at the start that names the option, and leaves nothing open', async () => {
    const registry = new InMemoryRegistry();
    const first = await init(appModule(registry, { probes: { port: 0, host: '127.0.0.1' } }));
    const port = first.get(AppRegistration).probePort ?? 0;
    const second = await createApp(appModule(registry, { probes: { port, host: '127.0.0.1' } }));
    await expect(second.init()).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'probes.port' });
  });
});

test.each([
  [{ requires: [{ name: 'DB', atLeast: 0 }] }, 'requires'],
  [{ service: { name: 'A', health: { intervalMs: -1 } } }, 'service.health.intervalMs'],
  [{ service: { name: 'A', health: { timeoutMs: Number.NaN } } }, 'service.health.timeoutMs'],
  [{ service: { name: 'A', health: { check: 'db' } } }, 'service.health.check'],
  [{ probes: { port: 70_000 } }, 'probes.port'],
  [{ probes: { port: 1, livePath: 'livez' } }, 'probes.livePath'],
  [{ shutdown: { totalTimeoutMs: 0 } }, 'shutdown.totalTimeoutMs'],
  [{ readiness: { registered: 'yes' } }, 'readiness.registered'],
])('%j is refused, naming %s', (options, field) => {
  expect(() => DiscoveryModule.forRoot(options as never)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field: expect.stringContaining(field) as string }),
  );
});
