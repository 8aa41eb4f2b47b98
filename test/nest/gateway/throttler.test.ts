import { Module } from '@nestjs/common';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
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
});
