import {
  Controller,
  Get,
  Global,
  Injectable,
  Module,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type Type,
} from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import {
  AppRegistration,
  DiscoveryModule,
  enableGracefulShutdown,
  type BeforeServiceDeregister,
  type OnServiceDeregistered,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { load } from './load.js';
import { createApp, listen, LogCollector, registered } from './support.js';

/** A database that closes, as Prisma's recipe does, in `onModuleDestroy`. */
@Injectable()
class Database implements OnModuleDestroy {
  open = true;
  onModuleDestroy(): void {
    this.open = false;
  }
}

@Module({ providers: [Database], exports: [Database] })
class DatabaseModule {}

@Controller()
class StockController {
  constructor(private readonly database: Database) {}
  @Get('quote') quote(): string {
    if (!this.database.open) throw new Error('the database is closed');
    return 'ok';
  }
}

@Module({ imports: [DatabaseModule], controllers: [StockController] })
class StockModule {}

function appModule(registry: InMemoryRegistry, more: { imports?: Type[]; propagationDelayMs?: number } = {}): Type {
  const backend = registry.backend();
  @Module({
    imports: [
      StockModule,
      ...(more.imports ?? []),
      DiscoveryModule.forRoot({
        service: { name: 'STOCK' },
        registry: backend,
        config: backend,
        shutdown: { propagationDelayMs: more.propagationDelayMs ?? 1000 },
      }),
    ],
  })
  class AppModule {}
  return AppModule;
}

describe('the hook path: app.close() alone', () => {
  test('serves while the removal gets around: no request fails, though a database closes in onModuleDestroy', async () => {
    const registry = new InMemoryRegistry();
    const app = await listen(appModule(registry));
    await registered(app);
    const calls = load(app, registry, 100);
    await expect.poll(() => calls.statuses.get(200) ?? 0).toBeGreaterThan(20);
    await app.close();
    await calls.stop();
    expect([...calls.statuses.keys()]).toEqual([200]);
    expect(registry.instancesOf('STOCK')).toEqual([]);
  });

  test('the order: not ready, out of the registry, then everybody’s hooks', async () => {
    const registry = new InMemoryRegistry();
    const steps: string[] = [];
    @Injectable()
    class Witness implements BeforeServiceDeregister, OnServiceDeregistered, OnModuleDestroy, OnApplicationShutdown {
      constructor(readonly registration: AppRegistration) {}
      beforeServiceDeregister(): void {
        steps.push(`before ${String(this.registration.isReady)} ${registry.instancesOf('STOCK').length}`);
      }
      onServiceDeregistered(): void {
        steps.push(`after ${registry.instancesOf('STOCK').length}`);
      }
      onModuleDestroy(): void {
        steps.push('destroy');
      }
      onApplicationShutdown(): void {
        steps.push('shutdown');
      }
    }
    @Module({ providers: [Witness] })
    class WitnessModule {}
    const app = await listen(appModule(registry, { imports: [WitnessModule], propagationDelayMs: 0 }));
    await registered(app);
    await app.close();
    expect(steps).toEqual(['before false 1', 'after 0', 'destroy', 'shutdown']);
  });

  test('another module’s hook that throws does not leave a record behind', async () => {
    @Injectable()
    class Broken implements BeforeApplicationShutdown, OnModuleDestroy {
      onModuleDestroy(): void {
        throw new Error('broken');
      }
      beforeApplicationShutdown(): void {
        throw new Error('broken');
      }
    }
    @Module({ providers: [Broken] })
    class BrokenModule {}
    const registry = new InMemoryRegistry();
    const app = await listen(appModule(registry, { imports: [BrokenModule], propagationDelayMs: 0 }));
    await registered(app);
    await app.close().catch(() => {});
    expect(registry.instancesOf('STOCK')).toEqual([]);
    app.getHttpServer().close();
  });

  test('a registry that is down does not keep the app from stopping, and says what is left', async () => {
    const registry = new InMemoryRegistry();
    const logger = new LogCollector();
    const backend = registry.backend();
    @Module({
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'STOCK' },
          registry: backend,
          config: backend,
          shutdown: { deregisterTimeoutMs: 200 },
        }),
      ],
    })
    class AppModule {}
    const app = await listen(AppModule, logger);
    await registered(app);
    registry.fail();
    await app.close();
    expect(logger.warnings().join('\n')).toContain('could not be taken out of in-memory');
  });

  test('closing while the first registration is under way leaves no record', async () => {
    const registry = new InMemoryRegistry();
    registry.pause();
    @Module({
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'STOCK' },
          registry: registry.backend(),
          config: new InMemoryRegistry().backend({ name: 'c' }),
        }),
      ],
    })
    class AppModule {}
    const app = await listen(AppModule);
    const closed = app.close();
    registry.resume();
    await closed;
    expect(registry.instancesOf('STOCK')).toEqual([]);
  });

  test('a server that refuses during the wait (return503OnClosing) is warned of once', async () => {
    const registry = new InMemoryRegistry();
    const logger = new LogCollector();
    @Controller()
    class Refusing {
      @Get('quote') quote(): void {}
    }
    @Module({
      controllers: [Refusing],
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'STOCK' },
          registry: registry.backend(),
          config: registry.backend({ name: 'c' }),
          shutdown: { propagationDelayMs: 300 },
        }),
      ],
    })
    class AppModule {}
    const app = await createApp(AppModule, { logger, return503OnClosing: true });
    // Nest 11 has no such option; a middleware of the app's own does the same there.
    let closing = false;
    app.use((_request: unknown, response: { status(code: number): { send(): void } }, next: () => void) => {
      if (closing) response.status(503).send();
      else next();
    });
    await app.listen(0, '127.0.0.1');
    await registered(app);
    const calls = load(app, registry, 200);
    await expect.poll(() => calls.statuses.get(200) ?? 0).toBeGreaterThan(1);
    closing = true;
    await app.close();
    await calls.stop();
    expect(logger.warnings().filter((line) => line.includes('return503OnClosing'))).toHaveLength(1);
  });
});

describe('enableGracefulShutdown', () => {
  test('runs the whole order before any hook, also for providers of the root module', async () => {
    const registry = new InMemoryRegistry();
    const backend = registry.backend();
    @Module({
      providers: [Database],
      controllers: [StockController],
      imports: [
        // First in the list, where the hook path would come too late.
        DiscoveryModule.forRoot({
          service: { name: 'STOCK' },
          registry: backend,
          config: backend,
          shutdown: { propagationDelayMs: 600 },
        }),
      ],
    })
    class AppModule {}
    const app = enableGracefulShutdown(await listen(AppModule));
    await registered(app);
    const calls = load(app, registry, 100);
    await expect.poll(() => calls.statuses.get(200) ?? 0).toBeGreaterThan(20);
    await Promise.all([app.close(), app.close()]);
    await calls.stop();
    expect([...calls.statuses.keys()]).toEqual([200]);
  });

  test('and Nest’s own hooks exclude each other, whichever comes first', async () => {
    const first = await createApp(appModule(new InMemoryRegistry()));
    first.enableShutdownHooks();
    expect(() => enableGracefulShutdown(first)).toThrow(expect.objectContaining({ code: 'SHUTDOWN_HOOKS_CONFLICT' }));
    const second = enableGracefulShutdown(await createApp(appModule(new InMemoryRegistry())));
    expect(() => second.enableShutdownHooks()).toThrow(expect.objectContaining({ code: 'SHUTDOWN_HOOKS_CONFLICT' }));
  });

  test('leaves no signal listener behind', async () => {
    const before = process.listenerCount('SIGTERM');
    const app = enableGracefulShutdown(await createApp(appModule(new InMemoryRegistry())));
    expect(process.listenerCount('SIGTERM')).toBe(before + 1);
    await app.close();
    expect(process.listenerCount('SIGTERM')).toBe(before);
  });

  test('requests that are being answered are waited for', async () => {
    let finish = (): void => {};
    @Controller()
    class Slow {
      @Get('quote') quote(): Promise<string> {
        return new Promise((resolve) => (finish = () => resolve('done')));
      }
    }
    const registry = new InMemoryRegistry();
    const backend = registry.backend();
    @Module({
      controllers: [Slow],
      imports: [DiscoveryModule.forRoot({ service: { name: 'STOCK' }, registry: backend, config: backend })],
    })
    class AppModule {}
    const app = enableGracefulShutdown(await listen(AppModule));
    await registered(app);
    const answer = fetch(`${await app.getUrl()}/quote`).then((response) => response.text());
    await new Promise((resolve) => app.getHttpServer().once('request', resolve));
    let closed = false;
    const closing = app.close().then(() => (closed = true));
    await expect.poll(() => registry.instancesOf('STOCK').length).toBe(0);
    expect(closed).toBe(false);
    finish();
    expect(await answer).toBe('done');
    await closing;
  });
});

@Global()
@Module({})
class NothingModule {}

test('a global module is destroyed last, a non-global one that is imported last first: what the order rests on', async () => {
  const order: string[] = [];
  const witness = (name: string): Type => {
    class Witness implements OnModuleDestroy {
      onModuleDestroy(): void {
        order.push(name);
      }
    }
    return Witness;
  };
  @Global()
  @Module({ providers: [witness('global')] })
  class GlobalModule {}
  @Module({ providers: [witness('first')] })
  class FirstModule {}
  @Module({ providers: [witness('last')] })
  class LastModule {}
  @Module({ imports: [NothingModule, FirstModule, GlobalModule, LastModule] })
  class AppModule {}
  const app = await createApp(AppModule);
  await app.init();
  await app.close();
  expect(order).toEqual(['last', 'first', 'global']);
});
