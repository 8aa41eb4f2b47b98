import { inParallel } from '../../../lib/backend/index.js';
import { EurekaClient } from '../../../lib/backends/eureka/index.js';
import { NacosClient } from '../../../lib/backends/nacos/index.js';
import { encodePresence, presenceKey } from '../../../lib/backends/nats/nats.codec.js';
import { NatsClient } from '../../../lib/backends/nats/index.js';
import { encodeCuratorInstance } from '../../../lib/backends/zookeeper/curator/curator.codec.js';
import { ZooKeeperClient } from '../../../lib/backends/zookeeper/index.js';
import { createRegistration, type Registration } from '../../../lib/model/index.js';
import type { BackendSpec } from '../../faults/backends.js';
import type { ProductName, RunningServer, Settings } from '../../servers/types.js';

/** How many writes are under way at once. */
const WRITES_AT_ONCE = 32;

const LEASE_MS = 3_600_000;

/** Writes to a registry as many strangers would. */
export interface Filler {
  /** Creates or replaces instances. */
  put(registrations: readonly Registration[]): Promise<void>;
  close(): Promise<void>;
}

/** One product of the benchmark. */
export interface ScaleRow {
  readonly name: string;
  readonly product: ProductName;
  readonly variant: string;
  readonly settings?: Settings;
  spec(server: RunningServer): BackendSpec;
  filler(server: RunningServer): Promise<Filler>;
}

/** The instance of this number. */
export function instanceOf(service: string, number: number, version: number): Registration {
  return createRegistration({
    service,
    instanceId: `${service}-${number}`.toLowerCase(),
    host: `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`,
    port: 8080,
    zone: `zone-${number % 3}`,
    metadata: { version: `1.${version}.0`, team: `team-${number % 20}` },
  });
}

/** All products whose registry is a server. */
export const ROWS: readonly ScaleRow[] = [
  {
    name: 'consul',
    product: 'consul',
    variant: 'dev',
    spec: ({ url }) => ({ product: 'consul', options: { address: url } }),
    filler: ({ url }) =>
      Promise.resolve({
        put: (registrations) =>
          inParallel(registrations, WRITES_AT_ONCE, async ({ service, instanceId, host, port, metadata }) => {
            const Service = { ID: instanceId, Service: service, Address: host, Port: port, Meta: metadata };
            const body = JSON.stringify({ Node: 'strangers', Address: '10.0.0.1', SkipNodeUpdate: true, Service });
            const answer = await fetch(`${url}/v1/catalog/register`, { method: 'PUT', body });
            if (!answer.ok) throw new Error(`registering: ${answer.status} ${await answer.text()}`);
          }),
        close: () => Promise.resolve(),
      }),
  },
  {
    name: 'eureka',
    product: 'eureka',
    variant: 'single',
    settings: { 'eureka.server.response-cache-auto-expiration-in-seconds': 1 },
    spec: ({ url }) => ({ product: 'eureka', options: { serviceUrls: [url], fetchIntervalMs: 1000 } }),
    filler: ({ url }) => {
      const client = new EurekaClient({ serviceUrls: url, shouldRegister: false, shouldDiscover: false });
      return Promise.resolve({
        put: (registrations) =>
          inParallel(registrations, WRITES_AT_ONCE, async ({ service, instanceId, host, port, metadata }) => {
            await client.api.register({
              ...{ instanceId, app: service, hostName: host, ipAddr: host, status: 'UP', port, portEnabled: true },
              ...{ securePort: 443, securePortEnabled: false, vipAddress: service, secureVipAddress: service },
              ...{ homePageUrl: '', statusPageUrl: '', healthCheckUrl: '', secureHealthCheckUrl: '' },
              ...{ dataCenter: 'MyOwn', dataCenterMetadata: {}, metadata, renewalIntervalSeconds: 30 },
              ...{ leaseSeconds: LEASE_MS / 1000, lastDirtyTimestamp: Date.now() },
            });
          }),
        close: () => client.stop(),
      });
    },
  },
  {
    name: 'nacos, gRPC',
    product: 'nacos',
    variant: 'open',
    spec: ({ url }) => ({ product: 'nacos', options: { serverAddresses: new URL(url).host } }),
    async filler({ url }) {
      const client = new NacosClient({ serverAddresses: new URL(url).host, noSnapshot: true });
      await client.start();
      const byService = new Map<string, Map<string, Registration>>();
      return {
        // A client has one publication a service, with all that it registers of it.
        async put(registrations) {
          const services = new Set<string>();
          for (const registration of registrations) {
            const { service, instanceId } = registration;
            byService.set(
              service,
              (byService.get(service) ?? new Map<string, Registration>()).set(instanceId, registration),
            );
            services.add(service);
          }
          await inParallel([...services], WRITES_AT_ONCE, (serviceName) =>
            client.naming.batchRegisterInstances({
              serviceName,
              instances: [...(byService.get(serviceName)?.values() ?? [])].map(({ host: ip, port, metadata }) => ({
                ...{ ip, port, metadata },
              })),
            }),
          );
        },
        close: () => client.close(),
      };
    },
  },
  {
    name: 'nats',
    product: 'nats',
    variant: 'current',
    spec: ({ url }) => ({ product: 'nats', options: { servers: url } }),
    async filler({ url }) {
      const client = new NatsClient({ servers: url });
      await client.connect();
      const bucket = client.keyValue('service-presence', { ttlMs: LEASE_MS });
      return {
        put: (registrations) =>
          inParallel(registrations, WRITES_AT_ONCE, async (registration) => {
            const value = encodePresence({ registration, leaseMs: LEASE_MS, owner: registration.instanceId });
            await bucket.put(presenceKey(registration.service, registration.instanceId), value);
          }),
        close: () => client.close(),
      };
    },
  },
  {
    name: 'zookeeper, Curator',
    product: 'zookeeper',
    variant: 'single',
    spec: ({ url }) => ({ product: 'zookeeper', layout: 'curator', options: { servers: url } }),
    async filler({ url }) {
      const client = new ZooKeeperClient({ servers: url });
      await client.open();
      return {
        put: (registrations) =>
          inParallel(registrations, WRITES_AT_ONCE, async (registration) => {
            const folder = `/services/${registration.service}`;
            const path = `${folder}/${registration.instanceId}`;
            const data = encodeCuratorInstance(registration, Date.now());
            if ((await client.setData(path, data)) !== undefined) return;
            await client.ensure(folder);
            await client.create(path, data, { mode: 'ephemeral' });
          }),
        close: () => client.close(),
      };
    },
  },
];
