import type { RequestListener } from 'node:http';
import {
  Controller,
  Get,
  Injectable,
  Module,
  Req,
  type DynamicModule,
  type INestApplication,
  type MiddlewareConsumer,
  type NestMiddleware,
  type NestModule,
  type Type,
} from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { firstValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import {
  DiscoverableClient,
  DiscoveryModule,
  getDiscoverableClientToken,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { createOn, portOf, type Platform } from './support.js';

interface Seen {
  seen?: Record<string, unknown>;
}

@Controller()
class SeenController {
  @Get('seen') seen(@Req() request: Seen & { raw?: Seen }): unknown {
    return { ...request.raw?.seen, ...request.seen };
  }
}

async function ask(client: ServiceHttpClient): Promise<unknown> {
  return (await firstValueFrom(client.get('/authorization'))).data;
}

/** Calls on behalf of the request, and leaves in it what the other side saw. */
function note(request: Seen, by: string, client: ServiceHttpClient, next: () => void): void {
  void ask(client).then((saw) => {
    request.seen = { ...request.seen, [by]: saw };
    next();
  });
}

@Injectable()
class Middleware implements NestMiddleware {
  constructor(@DiscoverableClient('STOCK') private readonly stock: ServiceHttpClient) {}

  use(request: Seen, _response: unknown, next: () => void): void {
    note(request, 'middleware', this.stock, next);
  }
}

@Module({ controllers: [SeenController], providers: [Middleware] })
class FeatureModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(Middleware).forRoutes('{*path}');
  }
}

async function app(
  platform: Platform,
  order: (discovery: DynamicModule) => (DynamicModule | Type)[],
  http: DiscoveryModuleOptions['http'] = { forwardHeaders: ['authorization'] },
): Promise<INestApplication> {
  const registry = new InMemoryRegistry();
  const port = await serving(({ headers }, response) => response.end(headers.authorization ?? 'none'));
  registry.addInstance('STOCK', { host: '127.0.0.1', port });
  const backend = registry.backend();
  const options = { registry: backend, config: backend, http };
  @Module({ imports: order(DiscoveryModule.forRoot(options)) })
  class AppModule {}
  return createOn(platform, AppModule);
}

async function seen(app: INestApplication): Promise<unknown> {
  const url = `http://127.0.0.1:${portOf(app)}/seen`;
  return (await fetch(url, { headers: { authorization: 'token' } })).json();
}

describe.each<Platform>(['express', 'fastify'])('forwarded headers on %s', (platform) => {
  test.each([
    ['first', (discovery: DynamicModule) => [discovery, FeatureModule]],
    ['last', (discovery: DynamicModule) => [FeatureModule, discovery]],
  ])('are known from the first middleware on, with the module %s in the imports', async (_, order) => {
    const gateway = await app(platform, order);
    const stock = gateway.get<ServiceHttpClient>(getDiscoverableClientToken('STOCK'));
    gateway.use((request: Seen, _response: unknown, next: () => void) => note(request, 'use', stock, next));
    if (platform === 'fastify') {
      const instance = gateway.getHttpAdapter().getInstance() as {
        addHook(name: string, hook: (request: { raw: Seen }, reply: unknown, done: () => void) => void): void;
      };
      instance.addHook('onRequest', (request, _reply, done) => note(request.raw, 'hook', stock, done));
    }
    await gateway.listen(0, '127.0.0.1');
    expect(await seen(gateway)).toEqual({
      use: 'token',
      middleware: 'token',
      ...(platform === 'fastify' ? { hook: 'token' } : {}),
    });
  });

  test('are known to a client that comes with a lazily loaded module', async () => {
    const gateway = await app(platform, (discovery) => [FeatureModule, discovery], {});
    let client: ServiceHttpClient | undefined;
    gateway.use((request: Seen, _response: unknown, next: () => void) =>
      client === undefined ? next() : note(request, 'use', client, next),
    );
    await gateway.listen(0, '127.0.0.1');
    expect(await seen(gateway)).toEqual({ middleware: 'none' });
    @Injectable()
    class Late {
      constructor(
        @DiscoverableClient('STOCK', { forwardHeaders: ['authorization'] }) readonly stock: ServiceHttpClient,
      ) {}
    }
    @Module({ providers: [Late] })
    class LateModule {}
    const module = await gateway.get(LazyModuleLoader).load(() => LateModule);
    client = module.get(Late).stock;
    expect(await seen(gateway)).toEqual({ use: 'token', middleware: 'none' });
  });
});

test('are known on Express where no server of Nest’s is used, and on Fastify where none is at all', async () => {
  const express = await app('express', (discovery) => [discovery, FeatureModule]);
  await express.listen(0, '127.0.0.1');
  const port = await serving(express.getHttpAdapter().getInstance() as RequestListener);
  const response = await fetch(`http://127.0.0.1:${port}/seen`, { headers: { authorization: 'token' } });
  expect(await response.json()).toEqual({ middleware: 'token' });

  const fastify = await app('fastify', (discovery) => [FeatureModule, discovery]);
  await fastify.listen(0, '127.0.0.1');
  const instance = fastify.getHttpAdapter().getInstance() as {
    inject(request: object): Promise<{ json(): unknown }>;
  };
  const injected = await instance.inject({ url: '/seen', headers: { authorization: 'token' } });
  expect(injected.json()).toEqual({ middleware: 'token' });
});
