import { Controller, Get, Module, type INestApplication, type Type } from '@nestjs/common';
import { HealthCheck, HealthCheckService, HealthIndicatorService, TerminusModule } from '@nestjs/terminus';
import { describe, expect, test } from 'vitest';
import {
  AppRegistration,
  DiscoveryModule,
  enableGracefulShutdown,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { DiscoveryHealthIndicator, DiscoveryHealthModule } from '../../lib/integrations/terminus/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { createOn, portOf, registered, type Platform } from './support.js';

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly discovery: DiscoveryHealthIndicator,
  ) {}

  @Get('ready')
  @HealthCheck()
  ready() {
    return this.health.check([
      () => this.discovery.registration(),
      () => this.discovery.backends('registries'),
      () => this.discovery.requires('stock', 'STOCK', { atLeast: 1 }),
      () => this.discovery.configuration(),
    ]);
  }

  @Get('live')
  @HealthCheck()
  live() {
    return this.health.check([]);
  }
}

/** Terminus 11 has no word for it. */
const DEGRADED =
  typeof (new HealthIndicatorService().check('x') as { degraded?: unknown }).degraded === 'function'
    ? { status: 'degraded', whole: 'degraded' }
    : { status: 'up', whole: 'ok' };

interface Health {
  readonly status: string;
  readonly details: Record<string, Record<string, unknown>>;
}

async function get(app: INestApplication, path: string): Promise<{ code: number; body: Health }> {
  const response = await fetch(`http://127.0.0.1:${portOf(app)}/health/${path}`);
  return { code: response.status, body: (await response.json()) as Health };
}

function moduleWith(registry: InMemoryRegistry, options: Partial<DiscoveryModuleOptions> = {}): Type {
  @Module({
    imports: [TerminusModule.forRoot({ logger: false }), DiscoveryHealthModule],
    controllers: [HealthController],
  })
  class HealthModule {}
  @Module({
    imports: [
      HealthModule,
      DiscoveryModule.forRoot({
        service: { name: 'SHOP' },
        registry: registry.backend(),
        config: registry.backend({ name: 'status' }),
        ...options,
      }),
    ],
  })
  class AppModule {}
  return AppModule;
}

async function start(platform: Platform, registry: InMemoryRegistry, options?: Partial<DiscoveryModuleOptions>) {
  const app = await createOn(platform, moduleWith(registry, options));
  await app.listen(0, '127.0.0.1');
  return app;
}

describe.each<Platform>(['express', 'fastify'])('health checks on %s', (platform) => {
  test('are up while all is well, and say what they know', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    const app = await start(platform, registry);
    await registered(app);
    const { code, body } = await get(app, 'ready');
    expect([code, body.status]).toEqual([200, 'ok']);
    expect(body.details).toMatchObject({
      registration: {
        status: 'up',
        state: 'registered',
        service: 'SHOP',
        registries: { 'in-memory': { state: 'registered' } },
      },
      registries: { status: 'up', backends: { 'in-memory': { state: 'ready' }, status: { state: 'ready' } } },
      stock: { status: 'up', state: 'fresh', instances: 1, atLeast: 1 },
      configuration: { status: 'up' },
    });
  });

  test('an outage of the registry takes nobody out: what is stale, and since when', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    const app = await start(platform, registry);
    await registered(app);
    expect((await get(app, 'ready')).body.status).toBe('ok');
    const before = Date.now();
    registry.fail();
    await expect.poll(async () => (await get(app, 'ready')).body.details['stock']?.['state']).toBe('stale');
    const { code, body } = await get(app, 'ready');
    expect([code, body.status]).toEqual([200, DEGRADED.whole]);
    expect(body.details['stock']).toMatchObject({ status: DEGRADED.status, state: 'stale', instances: 1 });
    expect(Date.parse(String(body.details['stock']?.['since']))).toBeGreaterThanOrEqual(before);
    expect(body.details['registries']).toMatchObject({
      status: DEGRADED.status,
      backends: { 'in-memory': { state: 'degraded', message: expect.any(String) as string } },
    });
    expect((await get(app, 'live')).code).toBe(200);
    registry.recover();
    await expect.poll(async () => (await get(app, 'ready')).body.status).toBe('ok');
  });

  test('down while it starts without a registry, from the first step of a shutdown on, and while it is paused', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    registry.fail();
    const app = await createOn(
      platform,
      moduleWith(registry, { configOptions: { optional: true }, shutdown: { propagationDelayMs: 500 } }),
    );
    enableGracefulShutdown(app);
    await app.listen(0, '127.0.0.1');
    const starting = await get(app, 'ready');
    expect([starting.code, starting.body.details['registration']]).toMatchObject([503, { state: 'starting' }]);
    expect((await get(app, 'live')).code).toBe(200);
    registry.recover();
    await registered(app);
    await expect.poll(async () => (await get(app, 'ready')).code).toBe(200);
    await app.get(AppRegistration).pause('maintenance');
    expect((await get(app, 'ready')).body.details['registration']).toMatchObject({ status: 'down', state: 'paused' });
    await app.get(AppRegistration).resume();
    const closed = app.close();
    const stopping = await get(app, 'ready');
    expect([stopping.code, stopping.body.details['registration']]).toMatchObject([503, { state: 'stopping' }]);
    await closed;
  });
});

test('a service that is required: too few, nobody, unknown, a bad limit', async () => {
  const registry = new InMemoryRegistry();
  registry.addInstance('STOCK', { port: 1 });
  registry.addInstance('STOCK', { port: 2, status: 'DOWN' });
  const app = await start('express', registry, { discovery: { firstSnapshotTimeoutMs: 50 } });
  const discovery = app.get(DiscoveryHealthIndicator, { strict: false });
  expect(await discovery.requires('STOCK', { atLeast: 2 })).toMatchObject({
    STOCK: { status: 'down', state: 'fresh', instances: 1, atLeast: 2 },
  });
  expect(await discovery.requires('NOBODY')).toMatchObject({ NOBODY: { status: 'down', instances: 0 } });
  await expect(discovery.requires('STOCK', { atLeast: 0 })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    field: 'atLeast',
  });
  await expect(discovery.requires('../x')).rejects.toMatchObject({ code: 'INVALID_NAME' });
  registry.fail();
  expect(await discovery.requires('k', 'LATER')).toMatchObject({ k: { status: 'down', state: 'unknown' } });
});

test('configuration that is refused is told until it is good again', async () => {
  const registry = new InMemoryRegistry();
  registry.addInstance('STOCK', { port: 1 });
  registry.setDocument('application.yaml', 'limit: 1');
  const app = await start('express', registry, { configOptions: { debounceMs: 1 } });
  const details = async () => (await get(app, 'ready')).body.details['configuration'];
  expect(await details()).toMatchObject({ status: 'up' });
  registry.setDocument('application.yaml', 'limit: [');
  await expect
    .poll(details)
    .toMatchObject({ status: DEGRADED.status, problems: [{ message: expect.any(String) as string }] });
  // Back to what is in force: nothing changes, and nothing is wrong any more.
  registry.setDocument('application.yaml', 'limit: 1');
  await expect.poll(async () => (await details())?.['problems']).toBeUndefined();
});

test('an app that registers nothing is up', async () => {
  const registry = new InMemoryRegistry();
  const app = await start('express', registry, { service: undefined as never });
  expect(app.get(DiscoveryHealthIndicator, { strict: false }).registration('r')).toMatchObject({
    r: { status: 'up', state: 'none' },
  });
});
