import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import {
  DiscoverableClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceFetch,
  ServiceHttpClient,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { createOn, portOf, type Platform } from './support.js';

@Injectable()
class Shop {
  constructor(
    readonly http: ServiceFetch,
    @DiscoverableClient('STOCK') readonly stock: ServiceHttpClient,
  ) {}
}

@Controller()
class ShopController {
  constructor(private readonly shop: Shop) {}

  @Get('stock') stock(): Promise<string> {
    return this.shop.stock.fetch('/quote').then((response) => response.text());
  }

  @Get('any') any(): Promise<string> {
    return this.shop.http.fetch('lb://STOCK/quote').then((response) => response.text());
  }
}

async function shop(platform: Platform, registry: InMemoryRegistry, more: object = {}) {
  const backend = registry.backend();
  @Module({
    controllers: [ShopController],
    providers: [Shop],
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, ...more })],
  })
  class ShopModule {}
  const app = await createOn(platform, ShopModule);
  return { app, shop: app.get(Shop) };
}

describe.each<Platform>(['express', 'fastify'])('fetch on %s', (platform) => {
  test('carries on the lane and the headers of the request in whose course it is made', async () => {
    const registry = new InMemoryRegistry();
    for (const lane of [undefined, 'alice']) {
      const port = await serving(({ headers }, response) =>
        response.end(`${lane ?? 'base'} ${String(headers['x-lane'])} ${String(headers.authorization)}`),
      );
      registry.addInstance('STOCK', { port, ...(lane === undefined ? {} : { metadata: { lane } }) });
    }
    const http = { routing: { lane: {} }, forwardHeaders: ['authorization'] };
    const { app } = await shop(platform, registry, { http });
    await app.listen(0, '127.0.0.1');
    const ask = async (path: string, headers: Record<string, string>) =>
      (await fetch(`http://127.0.0.1:${portOf(app)}/${path}`, { headers })).text();
    for (const path of ['stock', 'any']) {
      expect(await ask(path, {})).toBe('base undefined undefined');
      expect(await ask(path, { 'x-lane': 'alice', authorization: 'token' })).toBe('alice alice token');
    }
  });
});

test('the shutdown closes event streams of the app’s own', async () => {
  const registry = new InMemoryRegistry();
  const closed: string[] = [];
  const port = await serving(({ url }, response) => {
    response.on('close', () => closed.push(String(url)));
    response.writeHead(200, { 'content-type': url === '/events' ? 'text/event-stream' : 'text/plain' }).write('begun');
  });
  registry.addInstance('STOCK', { port });
  const { app, shop: own } = await shop('express', registry);
  enableGracefulShutdown(app, { signals: [] });
  await app.listen(0, '127.0.0.1');
  const events = await own.stock.fetch('/events');
  const text = events.text().catch((error: unknown) => String(error));
  await app.close();
  expect(await text).toContain('terminated');
  await expect.poll(() => closed).toEqual(['/events']);
  await expect(own.stock.fetch('/late')).rejects.toThrow('fetch failed');
});
