import http, { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Inject, Injectable, Module, Scope } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import axios from 'axios';
import { firstValueFrom, of } from 'rxjs';
import { describe, expect, test, vi } from 'vitest';
import {
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  getDiscoverableClientToken,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { InMemoryRegistry, overrideTransport } from '../../lib/testing/index.js';
import { servers } from './plain-servers.js';
import { init, listen } from './support.js';

/** A service instance that answers with its own port. */
async function answering(answer?: (server: Server) => void): Promise<number> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ port: portOf(server), url: request.url, method: request.method }));
  });
  answer?.(server);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return portOf(server);
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** A port that refuses connections. */
async function refusing(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function discovery(registry: InMemoryRegistry, options: DiscoveryModuleOptions = {}) {
  const backend = registry.backend();
  return DiscoveryModule.forRoot({ registry: backend, config: backend, ...options });
}

@Injectable()
class Shop {
  @DiscoverableClient('STOCK') readonly byProperty!: ServiceHttpClient;

  constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
}

@Module({ providers: [Shop], exports: [Shop] })
class ShopModule {}

describe('@DiscoverableClient', () => {
  test.for(['before', 'after'] as const)('is injected in a module that is imported %s', async (order) => {
    const registry = new InMemoryRegistry();
    const root = discovery(registry);
    @Module({ imports: order === 'before' ? [ShopModule, root] : [root, ShopModule] })
    class AppModule {}
    const app = await init(AppModule);
    const shop = app.get(Shop);
    expect(shop.stock).toBeInstanceOf(ServiceHttpClient);
    expect(shop.byProperty).toBe(shop.stock);
    expect(shop.stock.service).toBe('STOCK');
  });

  test('works with forRootAsync, in request-scoped and transient providers and in controllers', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      constructor(@DiscoverableClient('PER-REQUEST') readonly client: ServiceHttpClient) {}
    }
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient {
      constructor(@DiscoverableClient('PER-REQUEST') readonly client: ServiceHttpClient) {}
    }
    @Controller()
    class ShopController {
      constructor(
        private readonly perRequest: PerRequest,
        private readonly transient: Transient,
      ) {}
      @Get() get(): unknown {
        return { same: this.perRequest.client === this.transient.client, service: this.perRequest.client.service };
      }
    }
    const registry = new InMemoryRegistry();
    @Module({
      controllers: [ShopController],
      providers: [PerRequest, Transient],
      imports: [
        DiscoveryModule.forRootAsync({
          useFactory: async () => ({ registry: registry.backend(), config: registry.backend({ name: 'c' }) }),
        }),
      ],
    })
    class AppModule {}
    const app = await listen(AppModule);
    const response = await fetch(await app.getUrl());
    expect(await response.json()).toEqual({ same: true, service: 'PER-REQUEST' });
  });

  test('a name first met in a lazily loaded module is there too', async () => {
    const registry = new InMemoryRegistry();
    @Module({ imports: [discovery(registry)] })
    class AppModule {}
    const app = await init(AppModule);
    // Defined after the app has started, as an import() at run time would.
    @Injectable()
    class LazyShop {
      constructor(@DiscoverableClient('LAZY-STOCK') readonly client: ServiceHttpClient) {}
    }
    @Module({ providers: [LazyShop] })
    class LazyModule {}
    registry.addInstance('LAZY-STOCK', { port: await answering() });
    const loaded = await app.get(LazyModuleLoader).load(() => LazyModule);
    const { data } = await firstValueFrom(loaded.get(LazyShop).client.get('/x'));
    expect(data).toMatchObject({ url: '/x' });
  });

  test('two apps in one process have clients, views and registries of their own', async () => {
    const [one, two] = [new InMemoryRegistry(), new InMemoryRegistry()];
    one.addInstance('STOCK', { port: 1 });
    two.addInstance('STOCK', { port: 2 });
    @Module({ imports: [discovery(one), ShopModule] })
    class One {}
    @Module({ imports: [discovery(two), ShopModule] })
    class Two {}
    const [first, second] = [await init(One), await init(Two)];
    expect(first.get(Shop).stock).not.toBe(second.get(Shop).stock);
    const ports = async (app: typeof first): Promise<number[]> =>
      (await app.get(DiscoveryClient).getInstances('STOCK')).map((instance) => instance.port);
    expect(await ports(first)).toEqual([1]);
    expect(await ports(second)).toEqual([2]);
    await first.close();
    expect(await ports(second)).toEqual([2]);
  });

  test('the same definition in two apps gives each a backend of its own', async () => {
    const registry = new InMemoryRegistry();
    const backend = registry.backend();
    @Module({ imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class One {}
    @Module({ imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class Two {}
    const [first, second] = [await init(One), await init(Two)];
    await first.close();
    registry.addInstance('STOCK', { port: 7 });
    expect(await second.get(DiscoveryClient).getInstances('STOCK')).toHaveLength(1);
  });

  test('can be overridden in a testing module, and works without the module', async () => {
    const fake = { get: () => of({ data: 'fake' }) };
    const registry = new InMemoryRegistry();
    const module = await Test.createTestingModule({ imports: [ShopModule, discovery(registry)] })
      .overrideProvider(getDiscoverableClientToken('STOCK'))
      .useValue(fake)
      .compile();
    await module.init();
    expect(module.get(Shop).stock).toBe(fake);
    await module.close();

    const alone = await Test.createTestingModule({
      providers: [Shop, { provide: getDiscoverableClientToken('STOCK'), useValue: fake }],
    }).compile();
    expect(alone.get(Shop).stock).toBe(fake);
  });

  test.for(['undici', 'axios'] as const)('calls can be made to go where HTTP mocks see them: %s', async (transport) => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: await answering() });
    const builder = Test.createTestingModule({ imports: [ShopModule, discovery(registry)] });
    const module = await overrideTransport(builder, transport).compile();
    await module.init();
    const request = vi.spyOn(http, 'request');
    try {
      await firstValueFrom(module.get(Shop).stock.get('/'));
      expect(request).toHaveBeenCalledTimes(transport === 'axios' ? 1 : 0);
    } finally {
      request.mockRestore();
      await module.close();
    }
  });

  test('equal options give one client, other options another', () => {
    expect(getDiscoverableClientToken('STOCK')).toBe(getDiscoverableClientToken('STOCK', {}));
    expect(getDiscoverableClientToken('STOCK', { timeoutMs: 1, maxAttempts: 2 })).toBe(
      getDiscoverableClientToken('STOCK', { maxAttempts: 2, timeoutMs: 1 }),
    );
    expect(getDiscoverableClientToken('STOCK', { timeoutMs: 1 })).not.toBe(getDiscoverableClientToken('STOCK'));
  });

  test('bad names and options are errors where they are written', () => {
    expect(() => DiscoverableClient('../STOCK')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    expect(() => DiscoverableClient('STOCK', { forwardHeaders: ['authorization', 'Host'] })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: 'forwardHeaders[1]' }),
    );
    expect(() => DiscoverableClient('STOCK', { retries: 3 } as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: 'retries' }),
    );
  });

  test('its watch opens when the app starts, only in the app that uses it', async () => {
    const [using, other] = [new InMemoryRegistry(), new InMemoryRegistry()];
    @Module({ imports: [discovery(using), ShopModule] })
    class Using {}
    @Module({ imports: [discovery(other)] })
    class Other {}
    await init(Using);
    await init(Other);
    expect(using.stats.openWatches).toBeGreaterThan(other.stats.openWatches);
  });
});

describe('calls', () => {
  async function shop(registry: InMemoryRegistry, options: DiscoveryModuleOptions = {}): Promise<Shop> {
    @Module({ imports: [ShopModule, discovery(registry, options)] })
    class AppModule {}
    return (await init(AppModule)).get(Shop);
  }

  test('go round the instances, with path, query, headers and body', async () => {
    const registry = new InMemoryRegistry();
    const ports = [await answering(), await answering()];
    for (const port of ports) registry.addInstance('STOCK', { port });
    const { stock } = await shop(registry);
    const seen: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      const { data } = await firstValueFrom(stock.get<{ port: number; url: string }>('/a/b?c=1', { params: { d: 2 } }));
      seen.push(data.port);
      expect(data.url).toBe('/a/b?c=1&d=2');
    }
    expect(seen.slice(0, 2).sort()).toEqual([...ports].sort());
    expect(seen.slice(2)).toEqual(seen.slice(0, 2));
    const posted = await firstValueFrom(stock.post<{ method: string }>('/a', { x: 1 }));
    expect(posted.data.method).toBe('POST');
    expect((await stock.axiosRef.put('/a')).data).toMatchObject({ method: 'PUT' });
  });

  test('a refused connection is no failed call: the next instance gets it, whatever the method', async () => {
    const registry = new InMemoryRegistry();
    const good = await answering();
    registry.addInstance('STOCK', { port: await refusing() });
    registry.addInstance('STOCK', { port: good });
    const { stock } = await shop(registry);
    for (const method of ['get', 'post', 'get', 'patch']) {
      const { data } = await stock.axiosRef.request<{ port: number }>({ method, url: '/' });
      expect(data.port).toBe(good);
    }
  });

  test('a connection that breaks is tried elsewhere for a GET, and never for a POST', async () => {
    const registry = new InMemoryRegistry();
    let hits = 0;
    const bad = createServer((request) => {
      hits += 1;
      request.socket.destroy();
    });
    servers.push(bad);
    await new Promise<void>((resolve) => bad.listen(0, '127.0.0.1', resolve));
    const good = await answering();
    registry.addInstance('STOCK', { port: portOf(bad) });
    registry.addInstance('STOCK', { port: good });
    const { stock } = await shop(registry);
    for (let i = 0; i < 4; i += 1) {
      expect((await stock.axiosRef.get<{ port: number }>('/')).data.port).toBe(good);
    }
    const before = hits;
    const outcomes = await Promise.all(
      [1, 2].map(() =>
        stock.axiosRef.post('/', {}).then(
          () => 'answered',
          (error: { code: string }) => error.code,
        ),
      ),
    );
    expect(outcomes.sort()).toEqual(['ECONNRESET', 'answered']);
    expect(hits - before).toBe(1);
  });

  test('when all fail the error is the last one, and names every try', async () => {
    const registry = new InMemoryRegistry();
    for (let i = 0; i < 2; i += 1) registry.addInstance('STOCK', { port: await refusing() });
    const { stock } = await shop(registry);
    const error = await stock.axiosRef.get('/').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'ECONNREFUSED', isAxiosError: true });
    expect((error as { attempts: unknown[] }).attempts).toHaveLength(2);
  });

  test('an answer with an error status is an answer', async () => {
    const registry = new InMemoryRegistry();
    let hits = 0;
    const failing = createServer((_request, response) => {
      hits += 1;
      response.writeHead(500).end();
    });
    servers.push(failing);
    await new Promise<void>((resolve) => failing.listen(0, '127.0.0.1', resolve));
    registry.addInstance('STOCK', { port: portOf(failing) });
    registry.addInstance('STOCK', { port: await answering(), status: 'DOWN' });
    const { stock } = await shop(registry);
    await expect(firstValueFrom(stock.get('/'))).rejects.toMatchObject({ response: { status: 500 } });
    expect(hits).toBe(1);
  });

  test('nobody to call and nobody to ask are different errors', async () => {
    const registry = new InMemoryRegistry();
    const { stock } = await shop(registry, { discovery: { firstSnapshotTimeoutMs: 200 } });
    await expect(firstValueFrom(stock.get('/'))).rejects.toMatchObject({ code: 'NO_INSTANCE', service: 'STOCK' });
    const down = new InMemoryRegistry();
    down.fail();
    const other = await shop(down, {
      discovery: { firstSnapshotTimeoutMs: 200 },
      configOptions: { optional: true },
    });
    await expect(firstValueFrom(other.stock.get('/'))).rejects.toMatchObject({ code: 'NO_SNAPSHOT', service: 'STOCK' });
  });

  test('calls go on through an outage of the registry', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: await answering() });
    const { stock } = await shop(registry);
    await firstValueFrom(stock.get('/'));
    registry.fail();
    expect((await firstValueFrom(stock.get('/'))).status).toBe(200);
  });

  test('unsubscribing aborts the call', async () => {
    const registry = new InMemoryRegistry();
    let closed = false;
    const slow = createServer((request) => {
      request.socket.once('close', () => (closed = true));
    });
    servers.push(slow);
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    registry.addInstance('STOCK', { port: portOf(slow) });
    const { stock } = await shop(registry);
    const connected = new Promise((resolve) => slow.once('request', resolve));
    const subscription = stock.get('/').subscribe();
    await connected;
    subscription.unsubscribe();
    await expect.poll(() => closed).toBe(true);
  });

  test('a time-out is not tried again', async () => {
    const registry = new InMemoryRegistry();
    let hits = 0;
    for (let i = 0; i < 2; i += 1) {
      const slow = createServer(() => (hits += 1));
      servers.push(slow);
      await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
      registry.addInstance('STOCK', { port: portOf(slow) });
    }
    const { stock } = await shop(registry, { clients: { STOCK: { timeoutMs: 100 } } });
    await expect(firstValueFrom(stock.get('/'))).rejects.toMatchObject({ code: 'ECONNABORTED' });
    expect(hits).toBe(1);
  });

  test('a picker of one’s own is one function', async () => {
    const registry = new InMemoryRegistry();
    const [a, b] = [await answering(), await answering()];
    registry.addInstance('STOCK', { port: a });
    registry.addInstance('STOCK', { port: b });
    const { stock } = await shop(registry, {
      clients: { STOCK: { balancing: (instances) => instances.find(({ port }) => port === b) } },
    });
    for (let i = 0; i < 3; i += 1) expect((await stock.axiosRef.get<{ port: number }>('/')).data.port).toBe(b);
  });

  test('the unbound client calls any service as lb://, and leaves other URLs alone', async () => {
    const registry = new InMemoryRegistry();
    const port = await answering();
    registry.addInstance('OTHER', { port });
    @Injectable()
    class Free {
      constructor(@Inject(ServiceHttpClient) readonly client: ServiceHttpClient) {}
    }
    @Module({ providers: [Free], imports: [discovery(registry)] })
    class AppModule {}
    const { client } = (await init(AppModule)).get(Free);
    expect((await client.axiosRef.get<{ url: string }>('lb://OTHER/x?y=1')).data.url).toBe('/x?y=1');
    expect((await client.axiosRef.get<{ url: string }>(`http://127.0.0.1:${port}/plain`)).data.url).toBe('/plain');
    await expect(client.axiosRef.get('lb:///x')).rejects.toMatchObject({ code: 'INVALID_NAME' });
    await expect(client.axiosRef.get('lb://..%2Fx/y')).rejects.toMatchObject({ code: 'INVALID_NAME' });
  });

  test('walkNodes goes from one instance to the next until one succeeds; when all fail it names every try', async () => {
    const registry = new InMemoryRegistry();
    for (const port of [1, 2, 3]) registry.addInstance('STOCK', { port });
    const { stock } = await shop(registry);
    const walked: string[] = [];
    const result = await stock.walkNodes('STOCK', (url, instance) => {
      walked.push(url);
      if (instance.port !== 2) throw Object.assign(new Error(`no ${instance.port}`), { code: 'ECONNREFUSED' });
      return 'two';
    });
    expect(result).toBe('two');
    expect(walked.at(-1)).toBe('http://127.0.0.1:2');
    const error: unknown = await stock
      .walkNodes('STOCK', async () => Promise.reject(new TypeError('fetch failed')))
      .catch((reason: unknown) => reason);
    expect((error as { attempts: { target: string }[] }).attempts.map(({ target }) => target).sort()).toEqual([
      'http://127.0.0.1:1',
      'http://127.0.0.1:2',
      'http://127.0.0.1:3',
    ]);
  });

  test('an axios instance of one’s own becomes discoverable', async () => {
    const registry = new InMemoryRegistry();
    const port = await answering();
    registry.addInstance('STOCK', { port });
    const { stock } = await shop(registry);
    const own = axios.create({ headers: { 'x-own': 'yes' } });
    own.interceptors.response.use((response) => ({ ...response, data: { ...(response.data as object), seen: true } }));
    const { data } = await stock.discoverable(own).get<unknown>('lb://STOCK/own');
    expect(data).toMatchObject({ url: '/own', seen: true });
    expect((await own.get<{ url: string }>(`http://127.0.0.1:${port}/plain`)).data.url).toBe('/plain');
  });

  test('a gateway’s error is tried elsewhere, within the budget, and Retry-After leaves the instance alone', async () => {
    const registry = new InMemoryRegistry();
    const hits: Record<string, number> = { busy: 0 };
    const busy = createServer((_request, response) => {
      hits['busy'] = (hits['busy'] ?? 0) + 1;
      response.writeHead(503, { 'retry-after': '60' }).end();
    });
    servers.push(busy);
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const good = await answering();
    registry.addInstance('STOCK', { port: portOf(busy) });
    registry.addInstance('STOCK', { port: good });
    const { stock } = await shop(registry);
    for (let i = 0; i < 6; i += 1) expect((await stock.axiosRef.get<{ port: number }>('/')).data.port).toBe(good);
    expect(hits['busy']).toBe(1);
  });

  test('an outage of the service gets few retries: its load grows by the budget, not by the attempts', async () => {
    const registry = new InMemoryRegistry();
    let hits = 0;
    for (let i = 0; i < 3; i += 1) {
      const down = createServer((_request, response) => {
        hits += 1;
        response.writeHead(503).end();
      });
      servers.push(down);
      await new Promise<void>((resolve) => down.listen(0, '127.0.0.1', resolve));
      registry.addInstance('STOCK', { port: portOf(down) });
    }
    const { stock } = await shop(registry, { http: { retry: { budgetPerSecond: 1 } } });
    const calls = 200;
    for (let i = 0; i < calls; i += 1) await stock.axiosRef.get('/').catch(() => {});
    expect(hits).toBeGreaterThanOrEqual(calls);
    // 20 % of the calls, one a second, and what was saved up.
    expect(hits).toBeLessThanOrEqual(calls * 1.2 + 30);
  });

  test('the total time bounds all tries together and is told to the instance; a fallback answers instead', async () => {
    const registry = new InMemoryRegistry();
    const told: unknown[] = [];
    for (let i = 0; i < 3; i += 1) {
      const slow = createServer((request) => told.push(request.headers['x-deadline-ms']));
      servers.push(slow);
      await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
      registry.addInstance('STOCK', { port: portOf(slow) });
    }
    const { stock } = await shop(registry, {
      clients: {
        STOCK: {
          totalTimeoutMs: 150,
          deadlineHeader: 'x-deadline-ms',
          fallback: (error) => ({ fallback: (error as Error).message }),
        },
      },
    });
    const { data } = await stock.axiosRef.get<{ fallback: string }>('/');
    expect(data.fallback).toMatch(/timeout/);
    expect(Number(told[0])).toBeGreaterThan(0);
    expect(Number(told[0])).toBeLessThanOrEqual(150);
  });

  test('an instance may serve below a path of its own', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: await answering(), metadata: { contextPath: '/api/v2/' } });
    const { stock } = await shop(registry);
    expect((await stock.axiosRef.get<{ url: string }>('/quote?x=1')).data.url).toBe('/api/v2/quote?x=1');
  });

  test('an instance that keeps failing is left alone', async () => {
    const registry = new InMemoryRegistry();
    let hits = 0;
    const broken = createServer((request) => {
      hits += 1;
      request.socket.destroy();
    });
    servers.push(broken);
    await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve));
    registry.addInstance('STOCK', { port: portOf(broken) });
    registry.addInstance('STOCK', { port: await answering() });
    const { stock } = await shop(registry);
    for (let i = 0; i < 40; i += 1) await stock.axiosRef.get('/');
    expect(hits).toBe(5);
  });

  test('a hundred one-shot reads open one watch', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('OTHER', { port: 1 });
    @Module({ imports: [discovery(registry)] })
    class AppModule {}
    const app = await init(AppModule);
    const before = registry.stats.watchesOpened;
    await Promise.all(Array.from({ length: 50 }, () => app.get(DiscoveryClient).getInstances('OTHER')));
    for (let i = 0; i < 50; i += 1) await app.get(DiscoveryClient).getInstances('OTHER');
    expect(registry.stats.watchesOpened - before).toBe(1);
  });
});

describe('headers of incoming requests', () => {
  /** An instance that answers with the headers it got. */
  function echoing(): Promise<number> {
    return answering((server) => {
      server.removeAllListeners('request');
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        response.setHeader('content-type', 'application/json').end(JSON.stringify(request.headers));
      });
    });
  }

  async function gateway(options: DiscoveryModuleOptions): Promise<{ url: string; shop: Shop }> {
    @Controller()
    class GatewayController {
      constructor(private readonly shop: Shop) {}

      @Get('through') async through(): Promise<unknown> {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return (await firstValueFrom(this.shop.stock.get('/'))).data;
      }

      @Get('own') async own(): Promise<unknown> {
        return (await this.shop.stock.axiosRef.get<unknown>('/', { headers: { Authorization: 'own' } })).data;
      }
    }
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: await echoing() });
    @Module({ controllers: [GatewayController], imports: [ShopModule, discovery(registry, options)] })
    class AppModule {}
    const app = await listen(AppModule);
    return { url: await app.getUrl(), shop: app.get(Shop) };
  }

  const ask = async (url: string, headers: Record<string, string>): Promise<Record<string, string>> =>
    (await (await fetch(url, { headers })).json()) as Record<string, string>;

  test.for([
    ['http', { http: { forwardHeaders: ['Authorization', 'x-request-id'] } }],
    ['one client', { clients: { STOCK: { forwardHeaders: ['Authorization', 'x-request-id'] } } }],
  ] as const)('are carried on by calls made in their course when asked for: %s', async ([, options]) => {
    const { url, shop } = await gateway(options);
    const headers = { authorization: 'Bearer user', 'x-request-id': '42', 'x-other': 'no' };
    const seen = await ask(`${url}/through`, headers);
    expect(seen).toMatchObject({ authorization: 'Bearer user', 'x-request-id': '42' });
    expect(seen).not.toHaveProperty('x-other');
    expect(await ask(`${url}/own`, headers)).toMatchObject({ authorization: 'own', 'x-request-id': '42' });
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(`${url}/through`, { authorization: `user ${i}` })),
    );
    expect(many.map(({ authorization }) => authorization)).toEqual(many.map((_, i) => `user ${i}`));
    expect((await shop.stock.axiosRef.get<object>('/')).data).not.toHaveProperty('authorization');
  });

  test('stay where they are by default', async () => {
    const { url } = await gateway({});
    expect(await ask(`${url}/through`, { authorization: 'Bearer user' })).not.toHaveProperty('authorization');
  });
});
