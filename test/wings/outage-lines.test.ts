import { Logger, type LoggerService } from '@nestjs/common';
import { afterEach, expect, it } from 'vitest';
import type { BackendDefinition } from '../../lib/backend/index.js';
import { consul } from '../../lib/backends/consul/index.js';
import { eureka, EurekaClient } from '../../lib/backends/eureka/index.js';
import { nacos, NacosClient, NacosHttpClient } from '../../lib/backends/nacos/index.js';
import { nats } from '../../lib/backends/nats/index.js';
import { asab, curator, zookeeper } from '../../lib/backends/zookeeper/index.js';
import { DiscoveryRuntime } from '../../lib/nest/discovery-runtime.js';
import { resolveOptions } from '../../lib/nest/resolve-options.js';
import { freshName, registrationOf } from '../contract/contract-harness.js';
import { withServer } from '../servers/for-tests.js';
import type { ProductName, RunningServer, Variant } from '../servers/types.js';
import { until } from './eureka/support.js';
import { optionsFor } from './nacos/support.js';

type ServerProxy = Awaited<ReturnType<RunningServer['proxy']>>;

interface Row {
  readonly name: string;
  readonly product: ProductName;
  readonly variant: Variant;
  readonly definition: (proxy: ServerProxy, server: RunningServer) => BackendDefinition;
}

const ROWS: readonly Row[] = [
  {
    name: 'consul',
    product: 'consul',
    variant: 'server',
    definition: ({ url }) => consul({ address: url, requestTimeoutMs: 2000 }),
  },
  {
    name: 'eureka',
    product: 'eureka',
    variant: 'single',
    definition: ({ url }) =>
      eureka({
        serviceUrls: [url],
        heartbeatMs: 1000,
        leaseMs: 10_000,
        fetchIntervalMs: 500,
        requestTimeoutMs: 2000,
      }),
  },
  ...(['grpc', 'http'] as const).map((protocol): Row => ({
    name: `nacos, ${protocol}`,
    product: 'nacos',
    variant: 'auth',
    definition: (proxy, server) =>
      nacos({ ...optionsFor(server, proxy.ports['http'] ?? proxy.port), protocol, beatMs: 1000 }),
  })),
  ...(['key-value', 'services'] as const).map((mode): Row => ({
    name: `nats, ${mode}`,
    product: 'nats',
    variant: 'current',
    definition: ({ url }) =>
      nats({ servers: url, requestTimeoutMs: 2000, presence: { mode }, config: { bucket: freshName('config') } }),
  })),
  ...(['asab', 'curator'] as const).map((layout): Row => ({
    name: `zookeeper, ${layout}`,
    product: 'zookeeper',
    variant: 'single',
    definition: ({ url }) =>
      zookeeper({
        servers: url,
        layout: layout === 'asab' ? asab({ manifest: false }) : curator({}),
        connectTimeoutMs: 1000,
      }),
  })),
];

/** As many tries as an app makes in a minute or more, seen from the other side. */
const TRIES = 12;

const lines: string[] = [];
const note = (level: string) => (message: unknown) => void lines.push(`${level} ${String(message)}`);
const logger = {
  log: note('log'),
  warn: note('warn'),
  error: note('error'),
  debug: () => {},
  verbose: () => {},
} satisfies LoggerService;

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
  Logger.overrideLogger(false);
});

/** Kills the server, has it tried until nobody can say that the trying was short, and starts it again. */
async function outage(server: RunningServer, proxy: ServerProxy, isOver: () => boolean): Promise<void> {
  lines.length = 0;
  await server.stop();
  const before = proxy.counts.total;
  await until(() => proxy.counts.total - before >= TRIES, 'it is tried again and again', 240_000);
  expect(lines.filter((line) => !line.startsWith('log')).length, lines.join('\n')).toBeLessThanOrEqual(2);
  await server.restart();
  await until(isOver, 'all is well again', 120_000);
  // The last line may be on its way.
  await until(() => lines.some((line) => line.startsWith('log')), 'its end is told');
  expect(lines.length, lines.join('\n')).toBeLessThanOrEqual(4);
}

for (const { name, product, variant, definition } of ROWS) {
  withServer(product, { variant, private: true }, (server) => {
    it(`${name}: an app tells an outage in about three lines, however long it lasts and whatever is tried`, async () => {
      Logger.overrideLogger(logger);
      const proxy = await server.proxy();
      ending.push(() => proxy.close());
      const backend = definition(proxy, server);
      const config = product === 'eureka' ? {} : { config: backend };
      const runtime = await DiscoveryRuntime.start(
        resolveOptions({ registry: backend, ...config, configOptions: { optional: true } }),
      );
      ending.push(() => runtime.close());
      const [own, other] = [freshName('Own'), freshName('Other')];
      const lease = runtime.registry.register(registrationOf({ service: own }));
      await lease.registered;
      for (const service of [own, other]) runtime.views.acquire(service);
      const isWell = (): boolean =>
        runtime.backends.all[0]?.state.current.phase === 'ready' && lease.state.current.phase === 'registered';
      await until(async () => (await runtime.discovery.getInstances(own)).length === 1, 'the instance is seen');
      await until(isWell, 'it is well');
      await outage(server, proxy, isWell);
    }, 420_000);
  });
}

withServer('nacos', { variant: 'auth', private: true }, (server) => {
  it('NacosHttpClient: the beats and subscriptions of several services tell of one outage once', async () => {
    const proxy = await server.proxy();
    ending.push(() => proxy.close());
    const client = new NacosHttpClient({ ...optionsFor(server, proxy.ports['http'] ?? proxy.port), logger });
    ending.push(() => client.close());
    const heard: number[] = [];
    for (const port of [1, 2, 3]) {
      const serviceName = freshName('shop');
      await client.addNamingInstance({ serviceName, ip: '10.0.0.1', port }, { heartbeatIntervalMs: 300 });
      const listener = (event: string): void => {
        if (event === 'ADDED') heard.push(port);
      };
      await client.subscribe({ serviceName, listenerName: 'lines', intervalMs: 300, listener });
    }
    await until(() => heard.length === 3, 'all are heard of');
    await outage(server, proxy, () => lines.some((line) => line.includes('works again')));
  }, 420_000);

  it('NacosClient: neither do those over gRPC', async () => {
    const proxy = await server.proxy();
    ending.push(() => proxy.close());
    const client = new NacosClient({ ...optionsFor(server, proxy.ports['http'] ?? proxy.port), logger });
    ending.push(() => client.close());
    await client.start();
    for (const port of [1, 2, 3]) {
      const serviceName = freshName('shop');
      await client.naming.registerInstance({ serviceName, ip: '10.0.0.1', port });
      await client.naming.subscribe({ serviceName, listener: () => {} });
    }
    await outage(server, proxy, () => lines.some((line) => line.includes('works again')));
  }, 420_000);
});

withServer('eureka', { variant: 'single', private: true }, (server) => {
  it('EurekaClient: the registration and the reading of the registry tell of an outage once each', async () => {
    const proxy = await server.proxy();
    ending.push(() => proxy.close());
    const client = new EurekaClient({
      serviceUrls: proxy.url,
      appName: freshName('Lines'),
      instancePort: 7000,
      heartbeatMs: 300,
      leaseMs: 10_000,
      fetchIntervalMs: 300,
      logger,
    });
    ending.push(() => client.stop());
    await client.start();
    await outage(server, proxy, () => client.isRegistered && lines.length >= 4);
  }, 420_000);
});
