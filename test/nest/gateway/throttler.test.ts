import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { SkipThrottle, ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { describe, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createOn, portOf } from '../support.js';
import { ask, upstream } from './support.js';

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
    const app = await createOn(platform, AppModule);
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

  test('as a global guard, with several limits, of which a route may have its own', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('A', { port: (await upstream()).port });
    const backend = registry.backend();
    @Controller('own')
    class OwnController {
      @Get() @SkipThrottle({ short: true, long: true }) own(): string {
        return 'own';
      }
    }
    @Module({
      controllers: [OwnController],
      providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
      imports: [
        ThrottlerModule.forRoot([
          { name: 'short', ttl: 60_000, limit: 2 },
          { name: 'long', ttl: 600_000, limit: 3 },
        ]),
        ServiceGatewayModule.forRoot({
          routes: [
            { path: '/a/**', service: 'A' },
            // What @SkipThrottle({ short: true }) and @Throttle({ short: { limit: 1 } }) write.
            { path: '/b/**', service: 'A', metadata: { 'THROTTLER:SKIPshort': true } },
            { path: '/c/**', service: 'A', metadata: { 'THROTTLER:LIMITshort': 1 } },
          ],
        }),
        DiscoveryModule.forRoot({ registry: backend, config: backend }),
      ],
    })
    class AppModule {}
    const app = await createOn(platform, AppModule);
    await app.listen(0, '127.0.0.1');
    const port = portOf(app);
    const statuses = async (path: string): Promise<readonly number[]> => {
      const found: number[] = [];
      for (let i = 0; i < 4; i += 1) found.push((await ask(port, path)).status);
      return found;
    };
    expect(await statuses('/a/x')).toEqual([200, 200, 429, 429]);
    expect(await statuses('/b/x')).toEqual([200, 200, 200, 429]);
    expect(await statuses('/c/x')).toEqual([200, 429, 429, 429]);
    expect(await statuses('/own')).toEqual([200, 200, 200, 200]);
  });
});
