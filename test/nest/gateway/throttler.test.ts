import { Module, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { afterEach, describe, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf } from '../support.js';
import { ask, upstream } from './support.js';

const apps: INestApplication[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close().catch(() => {});
});

describe.each(['express', 'fastify'] as const)("@nestjs/throttler before the gateway's routes, on %s", (platform) => {
  test('counts each route by itself, and tells of it in headers', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('A', { port: (await upstream()).port });
    const backend = registry.backend();
    @Module({
      imports: [
        ThrottlerModule.forRoot([{ ttl: 60_000, limit: 2 }]),
        ServiceGatewayModule.forRoot({
          routes: [
            { path: '/a/**', service: 'A', guards: [ThrottlerGuard] },
            { path: '/b/**', service: 'A', guards: [ThrottlerGuard] },
            { path: '/free/**', service: 'A' },
          ],
        }),
        DiscoveryModule.forRoot({ registry: backend, config: backend }),
      ],
    })
    class AppModule {}
    const nest = { logger: false as const, abortOnError: false };
    const app =
      platform === 'fastify'
        ? await NestFactory.create(AppModule as Type, new FastifyAdapter(), nest)
        : await NestFactory.create(AppModule as Type, nest);
    apps.push(app);
    await app.listen(0, '127.0.0.1');
    const port = portOf(app);
    const first = await ask(port, '/a/x');
    expect(first).toMatchObject({ status: 200, headers: { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1' } });
    expect((await ask(port, '/a/x')).status).toBe(200);
    const refused = await ask(port, '/a/x');
    expect(refused).toMatchObject({ status: 429 });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await ask(port, '/b/x')).status).toBe(200);
    for (let i = 0; i < 4; i += 1) expect((await ask(port, '/free/x')).status).toBe(200);
  });
});
