import { Controller, Get, Headers, Inject, Injectable, Module, type INestApplication } from '@nestjs/common';
import { firstValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import {
  ConfigClient,
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  EventHub,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { createOn, portOf, registered, type Platform } from './support.js';

/** Who answered at each hop. */
interface Trail {
  readonly trail: readonly string[];
}

/** A service of one lane that calls the next one, if there is any. */
async function hop(
  registry: InMemoryRegistry,
  platform: Platform,
  { name, lane, next, ...options }: { name: string; lane?: string; next?: string } & DiscoveryModuleOptions,
): Promise<INestApplication> {
  @Injectable()
  class Next {
    @Inject(ServiceHttpClient) readonly http!: ServiceHttpClient;
  }
  @Controller()
  class Hop {
    constructor(private readonly called: Next) {}

    @Get('trail') async trail(): Promise<Trail> {
      const me = `${name}/${lane ?? 'base'}`;
      if (next === undefined) return { trail: [me] };
      const { data } = await firstValueFrom(this.called.http.get<Trail>(`lb://${next}/trail`));
      return { trail: [me, ...data.trail] };
    }

    @Get('lane') lane(@Headers('x-lane') seen = 'none'): string {
      return seen;
    }
  }
  const backend = registry.backend();
  @Module({
    controllers: [Hop],
    providers: [Next],
    imports: [
      DiscoveryModule.forRoot({
        service: { name, host: '127.0.0.1', ...(lane === undefined ? {} : { metadata: { lane } }) },
        registry: backend,
        config: backend,
        http: { routing: { lane: {} } },
        ...options,
      }),
    ],
  })
  class HopModule {}
  const app = await createOn(platform, HopModule);
  await app.listen(0, '127.0.0.1');
  await registered(app);
  return app;
}

describe.each<Platform>(['express', 'fastify'])('lanes over hops, on %s', (platform) => {
  test('of 1,000 calls none is on a wrong instance', async () => {
    const registry = new InMemoryRegistry();
    await hop(registry, platform, { name: 'STOCK' });
    await hop(registry, platform, { name: 'STOCK', lane: 'alice' });
    await hop(registry, platform, { name: 'STOCK', lane: 'bob' });
    // Alice has no ORDERS of her own: her lane passes through the base.
    await hop(registry, platform, { name: 'ORDERS', next: 'STOCK' });
    await hop(registry, platform, { name: 'ORDERS', lane: 'bob', next: 'STOCK' });
    const gateway = await hop(registry, platform, { name: 'GATEWAY', next: 'ORDERS' });
    const url = `http://127.0.0.1:${portOf(gateway)}/trail`;
    const ways: readonly (readonly [string | undefined, readonly string[]])[] = [
      [undefined, ['GATEWAY/base', 'ORDERS/base', 'STOCK/base']],
      ['alice', ['GATEWAY/base', 'ORDERS/base', 'STOCK/alice']],
      ['bob', ['GATEWAY/base', 'ORDERS/bob', 'STOCK/bob']],
      ['nobody', ['GATEWAY/base', 'ORDERS/base', 'STOCK/base']],
    ];
    const wrong: unknown[] = [];
    let left = 1000;
    const worker = async (): Promise<void> => {
      while (left-- > 0) {
        const [lane, expected] = ways[left % ways.length] ?? [undefined, []];
        const { trail } = (await (
          await fetch(url, { headers: lane === undefined ? {} : { 'x-lane': lane } })
        ).json()) as Trail;
        if (trail.join() !== expected.join()) wrong.push([lane, trail]);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(wrong).toEqual([]);
  }, 120_000);
});

/** A caller of STOCK, whose two instances are plain servers: of the base, and of the lane. */
async function caller(options: DiscoveryModuleOptions, lane = 'alice', config: Record<string, unknown> = {}) {
  const registry = new InMemoryRegistry();
  const answering = (name: string) =>
    serving((request, response) => response.end(`${name} ${String(request.headers['x-lane'])}`));
  registry.addInstance('STOCK', { port: await answering('base') });
  registry.addInstance('STOCK', { port: await answering(lane), metadata: { lane } });
  registry.setDocument('application', JSON.stringify(config), 'json');
  @Injectable()
  class Consumer {
    constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
  }
  @Controller()
  class Asking {
    constructor(private readonly consumer: Consumer) {}
    @Get() async ask(): Promise<string> {
      return (await firstValueFrom(this.consumer.stock.get<string>('/'))).data;
    }
  }
  const backend = registry.backend();
  @Module({
    controllers: [Asking],
    providers: [Consumer],
    imports: [
      DiscoveryModule.forRoot({ registry: backend, config: backend, http: { routing: { lane: {} } }, ...options }),
    ],
  })
  class CallerModule {}
  const app = await createOn('express', CallerModule);
  await app.listen(0, '127.0.0.1');
  const ask = async (headers: Record<string, string> = {}): Promise<string> =>
    (await fetch(`http://127.0.0.1:${portOf(app)}/`, { headers })).text();
  return { app, ask, registry, stock: app.get(Consumer).stock };
}

describe('a call’s lane', () => {
  test('is its own word, its own header’s, or the request’s, and goes on as a header', async () => {
    const { ask, stock } = await caller({});
    expect(await ask()).toBe('base undefined');
    expect(await ask({ 'x-lane': 'alice' })).toBe('alice alice');
    expect(await ask({ 'x-lane': 'carla' })).toBe('base carla');
    const own = async (config: object) => (await firstValueFrom(stock.get('/', config))).data;
    expect(await own({ headers: { 'X-Lane': 'alice' } })).toBe('alice alice');
    expect(await own({ loadBalancing: { lane: 'alice' } })).toBe('alice alice');
  });

  test('is that of the request for picks of other protocols too', async () => {
    const { app } = await caller({});
    const discovery = app.get(DiscoveryClient);
    const pick = await discovery.pick('STOCK', { lane: 'alice' });
    pick.cancelled();
    expect(pick.instance.metadata['lane']).toBe('alice');
    for (let i = 0; i < 20; i += 1) {
      expect((await discovery.choose('STOCK')).metadata['lane']).toBeUndefined();
    }
  });

  test('that has no instance and may go nowhere else says who is there', async () => {
    const { stock } = await caller({ http: { routing: { lane: { fallback: 'none' } } } });
    const call = firstValueFrom(stock.get('/', { headers: { 'x-lane': 'carla' } }));
    await expect(call).rejects.toMatchObject({
      code: 'NO_INSTANCE',
      message: expect.stringContaining("is in lane 'alice', where the call is in 'carla'"),
    });
  });

  test('of 10 kB, and 10,000 of them, are none that anybody has', async () => {
    const { ask, stock } = await caller({});
    expect(await ask({ 'x-lane': 'a'.repeat(10_000) })).toBe('base undefined');
    for (let i = 0; i < 10_000; i += 200) {
      const calls = Array.from({ length: 20 }, (_, at) =>
        firstValueFrom(stock.get<string>('/', { headers: { 'x-lane': `l${i + at}` } })),
      );
      for (const { data } of await Promise.all(calls)) expect(data).toMatch(/^base/);
    }
  });
});

describe('rules', () => {
  const rules = { lanes: { STOCK: [{ match: { header: { 'x-user': 'alice' } }, lane: 'alice' }] } };

  test('of the configuration put requests into lanes, and change while the app runs', async () => {
    const { app, ask, registry } = await caller({ laneRules: 'lanes' }, 'alice', rules);
    expect(await ask({ 'x-user': 'alice' })).toBe('alice alice');
    expect(await ask({ 'x-user': 'bob' })).toBe('base undefined');
    registry.setDocument('application', JSON.stringify({ lanes: { STOCK: [{ weight: 100, lane: 'alice' }] } }), 'json');
    await expect.poll(() => ask({ 'x-user': 'bob' })).toBe('alice alice');
    expect(app.get(ConfigClient).get('lanes.STOCK')).toHaveLength(1);
  });

  test('that don’t parse leave the last good ones in force, and are told', async () => {
    const { app, ask, registry } = await caller({ laneRules: 'lanes' }, 'alice', rules);
    const rejected: string[] = [];
    app.get(EventHub).on('config.rejected', ({ error }) => rejected.push(error.message));
    registry.setDocument('application', JSON.stringify({ lanes: { STOCK: [{ wieght: 5, lane: 'alice' }] } }), 'json');
    await expect.poll(() => rejected).toEqual([expect.stringContaining('lanes.STOCK[0].wieght is none of')]);
    expect(await ask({ 'x-user': 'alice' })).toBe('alice alice');
  });

  test('that don’t parse when the app starts are an error of its start', async () => {
    await expect(caller({ laneRules: 'lanes' }, 'alice', { lanes: 'alice' })).rejects.toMatchObject({
      code: 'CONFIG_VALUE_INVALID',
      field: 'lanes',
    });
  });
});

describe('versions', () => {
  test('are read from the header and from the path', async () => {
    const registry = new InMemoryRegistry();
    for (const version of ['1', '2']) {
      const port = await serving((_request, response) => response.end(version));
      registry.addInstance('STOCK', { port, metadata: { version } });
    }
    const backend = registry.backend();
    @Module({
      imports: [
        DiscoveryModule.forRoot({
          registry: backend,
          config: backend,
          http: { routing: { version: { header: 'accept-version', pathPrefix: 'v' } } },
        }),
      ],
    })
    class CallerModule {}
    const app = await createOn('express', CallerModule);
    await app.init();
    const http = app.get(ServiceHttpClient);
    const get = async (path: string, headers = {}) =>
      (await firstValueFrom(http.get(`lb://STOCK${path}`, { headers }))).data;
    for (let i = 0; i < 10; i += 1) {
      expect(String(await get('/v2/quote'))).toBe('2');
      expect(String(await get('/v1?x=/v2'))).toBe('1');
      expect(String(await get('/vase', { 'Accept-Version': '2' }))).toBe('2');
    }
    await expect(get('/v3/quote')).rejects.toMatchObject({ code: 'NO_INSTANCE' });
  });
});
