import { nats, NatsClient, type NatsOptions } from '../../lib/backends/nats/index.js';
import { presenceKey } from '../../lib/backends/nats/nats.codec.js';
import type { RunningServer } from '../servers/types.js';
import { freshName, type ContractHarness, type ContractTiming } from './contract-harness.js';

const LEASE_MS = 3000;

/** Rounds and leases are short here, so that what must vanish does so while the test looks. */
export const natsTiming: ContractTiming = { patienceMs: 15_000, quietMs: 200, expiryMs: LEASE_MS + 5000 };

/** Clients reach the server through a proxy that can cut them off; buckets of its own, on a server that others share. */
export async function createNatsHarness(server: RunningServer, options: NatsOptions = {}): Promise<ContractHarness> {
  const proxy = await server.proxy();
  const presenceBucket = freshName('presence');
  const configBucket = freshName('config');
  const apiPrefix = freshName('SRV');
  const authentication = server.token === undefined ? {} : { token: server.token };
  const tls = server.tls === undefined ? {} : { tls: { ca: server.tls.ca } };
  const behind = new NatsClient({ servers: server.url, ...authentication, ...tls });
  await behind.connect();
  return {
    definition: ({ name } = {}) =>
      nats({
        servers: proxy.url,
        ...authentication,
        ...tls,
        reconnectWaitMs: 100,
        requestTimeoutMs: 2000,
        heartbeatMs: 500,
        apiPrefix,
        rounds: { intervalMs: 100, tolerance: 3, stallMs: 50 },
        presence: { bucket: presenceBucket, leaseMs: LEASE_MS },
        config: { bucket: configBucket },
        ...options,
        ...(name === undefined ? {} : { name }),
      }),
    pause: () => {
      proxy.blackhole();
      return Promise.resolve(() => proxy.heal());
    },
    outage: () => proxy.drop(),
    recover: () => proxy.heal(),
    ...(options.presence?.mode === 'services'
      ? {}
      : {
          forget: async (service: string, instanceId: string) => {
            await behind.keyValue(presenceBucket).purge(presenceKey(service, instanceId));
          },
        }),
    config: {
      documentId: (base) => `${base}.yaml`,
      applicationDocumentId: (application, profile) =>
        `${application ?? 'application'}${profile === undefined ? '' : `-${profile}`}.yaml`,
      prefix: (base) => base,
    },
    close: async () => {
      for (const bucket of [presenceBucket, configBucket]) await behind.keyValue(bucket).destroy();
      await behind.close();
      await proxy.close();
    },
  };
}
