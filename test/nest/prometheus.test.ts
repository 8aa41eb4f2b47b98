import { Injectable, Module } from '@nestjs/common';
import { register, Registry } from 'prom-client';
import { firstValueFrom } from 'rxjs';
import { expect, test } from 'vitest';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from '../../lib/index.js';
import { DiscoveryPrometheusModule, type DiscoveryPrometheusOptions } from '../../lib/integrations/prometheus/index.js';
import { DURATION_METRICS, prometheusMetricName, READ_METRICS } from '../../lib/observability/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { listen, registered } from './support.js';

async function shop(options?: DiscoveryPrometheusOptions) {
  const registry = new InMemoryRegistry();
  registry.addInstance('STOCK', { port: await serving((_request, response) => response.end('{}')) });
  const backend = registry.backend();
  @Injectable()
  class Caller {
    constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
  }
  @Module({
    providers: [Caller],
    imports: [
      options === undefined ? DiscoveryPrometheusModule : DiscoveryPrometheusModule.forRoot(options),
      DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const app = await listen(AppModule);
  await registered(app);
  return { app, registry, stock: app.get(Caller).stock };
}

test('a scrape has every metric, newest values, and what is gone is gone', async () => {
  const registry = new Registry();
  const { app, stock, registry: servers } = await shop({ registry });
  await firstValueFrom(stock.get('/'));
  await firstValueFrom(stock.get('/'));
  const text = await registry.metrics();
  for (const metric of [...DURATION_METRICS, ...READ_METRICS])
    expect(text).toContain(`# TYPE ${prometheusMetricName(metric)} `);
  const call = 'service_discovery_client_call';
  expect(text).toContain(
    `${call}_duration_seconds_count{service_peer_name="STOCK",outcome="success",error_type=""} 2\n`,
  );
  expect(text).toContain(`${call}_attempts_total{service_peer_name="STOCK",reason="first"} 2\n`);
  expect(text).toContain('service_discovery_client_active_calls{service_peer_name="STOCK"} 0\n');
  expect(text).toContain('service_discovery_instances{service_peer_name="STOCK",status="routable"} 1\n');
  expect(text).toContain('service_discovery_snapshot_age_seconds{service_peer_name="STOCK",state="fresh"} 0\n');
  expect(text).toContain('service_discovery_registrations_total{backend="in-memory",event="registered"} 1\n');
  expect(text).toContain('service_discovery_backend_ready{backend="in-memory"} 1\n');
  servers.fail();
  await expect.poll(() => registry.metrics()).toContain('service_discovery_backend_ready{backend="in-memory"} 0\n');
  const stale = await registry.metrics();
  expect(stale).toContain('service_discovery_snapshot_age_seconds{service_peer_name="STOCK",state="stale"}');
  expect(stale).not.toContain('service_discovery_snapshot_age_seconds{service_peer_name="STOCK",state="fresh"}');
  // Read again, counters are what they were.
  expect(stale).toContain(`${call}_attempts_total{service_peer_name="STOCK",reason="first"} 2\n`);
  servers.recover();
  await app.close();
  expect(registry.getMetricsAsArray()).toEqual([]);
});

test('as it is imported, the metrics are in prom-client’s own registry as long as the app runs', async () => {
  const { app } = await shop();
  expect(await register.metrics()).toContain('service_discovery_backend_ready');
  await app.close();
  expect(register.getMetricsAsArray()).toEqual([]);
});

test.each([
  [{ registry: {} }, 'registry'],
  [{ maxServices: -1 }, 'maxServices'],
])('%j is refused, naming %s', (options, field) => {
  expect(() => DiscoveryPrometheusModule.forRoot(options as never)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field }),
  );
});
