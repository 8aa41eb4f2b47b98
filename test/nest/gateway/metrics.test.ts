import { Module, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, test } from 'vitest';
import { DiscoveryModule, DiscoveryTelemetry } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { DiscoveryOperatorModule } from '../../../lib/integrations/operator/index.js';
import { DiscoveryPrometheusModule } from '../../../lib/integrations/prometheus/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf } from '../support.js';
import { ask, open, upstream } from './support.js';

const apps: INestApplication[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close().catch(() => {});
});

describe.each(['express', 'fastify'] as const)('metrics of the routes, on %s', (platform) => {
  test('by route and status, and whether each reaches its service: in a scrape, the snapshot and for the page', async () => {
    let silent = false;
    const service = await upstream((request, response) => {
      if (request.url === '/silent') {
        silent = true;
        return;
      }
      if (request.url === '/broken') {
        response.writeHead(200, { 'content-length': '100' });
        return void response.write('abc', () => response.destroy());
      }
      response.writeHead(request.url === '/failed' ? 500 : 200).end('ok');
    });
    const servers = new InMemoryRegistry();
    servers.addInstance('STOCK', { port: service.port });
    const backend = servers.backend();
    const registry = new Registry();
    @Module({
      imports: [
        ServiceGatewayModule.forRoot({
          routes: [
            { id: 'stock', path: '/stock/**', service: 'STOCK', stripPrefix: 1 },
            { id: 'empty', path: '/empty/**', service: 'EMPTY' },
            { id: 'never', path: '/never/**', service: 'NEVER' },
          ],
        }),
        DiscoveryPrometheusModule.forRoot({ registry }),
        DiscoveryOperatorModule.register({ actuator: true }),
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
    await ask(port, '/stock/a');
    await ask(port, '/stock/b');
    await ask(port, '/stock/failed');
    await ask(port, '/stock/broken').catch(() => {});
    await ask(port, '/empty/x');
    const socket = open(port);
    socket.write('GET /stock/silent HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => silent).toBe(true);
    const routes = () => app.get(DiscoveryTelemetry).snapshot().routes;
    const count = async (route: string, peer: string, status: string): Promise<string | undefined> =>
      new RegExp(
        `gateway_request_duration_seconds_count\\{route="${route}",service_peer_name="${peer}",status="${status}"\\} (\\d+)`,
      ).exec(await registry.metrics())?.[1];
    await expect.poll(() => count('stock', 'STOCK', 'broken')).toBe('1');
    socket.destroy();
    await expect.poll(() => count('stock', 'STOCK', 'gone')).toBe('1');
    expect(await count('stock', 'STOCK', '2xx')).toBe('2');
    expect(await count('stock', 'STOCK', '5xx')).toBe('1');
    expect(await count('empty', 'EMPTY', '5xx')).toBe('1');
    const circuit = (route: string, service_: string, state: string): string =>
      `service_discovery_gateway_circuit{route="${route}",service_peer_name="${service_}",state="${state}"}`;
    const text = await registry.metrics();
    expect(text).toContain(`${circuit('stock', 'STOCK', 'closed')} 1\n`);
    expect(text).toContain(`${circuit('stock', 'STOCK', 'open')} 0\n`);
    expect(text).toContain(`${circuit('empty', 'EMPTY', 'open')} 1\n`);
    expect(text).not.toContain('route="never"');
    expect(routes()).toMatchObject([
      { route: 'stock', service: 'STOCK', circuit: 'closed', requests: 5, failed: 2 },
      { route: 'empty', service: 'EMPTY', circuit: 'open', requests: 1, failed: 1, averageMs: expect.any(Number) },
      { route: 'never', service: 'NEVER', circuit: 'unknown', requests: 0, failed: 0, averageMs: 0 },
    ]);
    const overview = (await ask(port, '/discovery/overview')).json() as { routes: unknown };
    expect(overview.routes).toMatchObject({ total: 3, routes: [{ route: 'empty' }, { route: 'stock' }, {}] });
    const metric = await ask(port, '/actuator/metrics/service_discovery.gateway.request.duration?tag=route:stock');
    expect(metric.json()).toMatchObject({ measurements: expect.arrayContaining([{ statistic: 'COUNT', value: 5 }]) });
  });
});
