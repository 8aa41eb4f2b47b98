import { Controller, Get, Injectable, Module, Req, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { firstValueFrom } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import {
  DiscoverableClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { load } from './load.js';
import { portOf, registered } from './support.js';

const apps: INestApplication[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close().catch(() => {});
});

@Injectable()
class Shop {
  constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
}

@Controller()
class ShopController {
  constructor(private readonly shop: Shop) {}

  @Get('quote') quote(): string {
    return 'ok';
  }

  @Get('through') async through(): Promise<unknown> {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return (await firstValueFrom(this.shop.stock.get('/headers'))).data;
  }

  @Get('headers') headers(@Req() { headers }: { headers: object }): object {
    return headers;
  }
}

async function start(registry: InMemoryRegistry, options: DiscoveryModuleOptions = {}): Promise<INestApplication> {
  const backend = registry.backend();
  @Module({
    controllers: [ShopController],
    providers: [Shop],
    imports: [DiscoveryModule.forRoot({ service: { name: 'STOCK' }, registry: backend, config: backend, ...options })],
  })
  class AppModule {}
  const app = enableGracefulShutdown(
    await NestFactory.create(AppModule as Type, new FastifyAdapter(), { logger: false, abortOnError: false }),
  );
  apps.push(app);
  await app.listen(0, '127.0.0.1');
  return app;
}

describe('on Fastify', () => {
  test('the app registers with the port that listens, and leaves the registry before it stops serving', async () => {
    const registry = new InMemoryRegistry();
    const app = await start(registry, { shutdown: { propagationDelayMs: 600 } });
    await registered(app);
    expect(registry.instancesOf('STOCK')[0]).toMatchObject({ host: '127.0.0.1', port: portOf(app), status: 'UP' });
    const traffic = load(app, registry, 50);
    await expect.poll(() => traffic.statuses.get(200) ?? 0).toBeGreaterThan(20);
    await app.close();
    await traffic.stop();
    expect([...traffic.statuses.keys()]).toEqual([200]);
    expect(registry.instancesOf('STOCK')).toEqual([]);
  });

  test('calls carry on headers of the request in whose course they are made', async () => {
    const registry = new InMemoryRegistry();
    const app = await start(registry, { http: { forwardHeaders: ['authorization'] } });
    await registered(app);
    const ask = async (user: string): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${portOf(app)}/through`, { headers: { authorization: user } });
      return ((await response.json()) as { authorization?: string }).authorization;
    };
    const users = Array.from({ length: 10 }, (_, i) => `user ${i}`);
    expect(await Promise.all(users.map(ask))).toEqual(users);
  });
});
