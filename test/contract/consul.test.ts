import { setTimeout } from 'node:timers/promises';
import { consul, ConsulClient } from '../../lib/backends/consul/index.js';
import { withServer } from '../servers/for-tests.js';
import type { RunningServer } from '../servers/types.js';
import { RemoteProxy } from '../wings/consul/support/remote-proxy.js';
import {
  describeConfigContract,
  describeDiscoveryContract,
  describeRegistryContract,
  type ConfigHarness,
  type ContractHarness,
  type ContractTiming,
} from './contract-harness.js';

// A heartbeat may be three seconds late before it is missed, and falls within the patience; a record that only expires
// does not.
const TTL_MS = 20_000;
// Consul looks for expired TTLs by timers of its own, each a little late.
const timing: ContractTiming = { patienceMs: 18_000, quietMs: 300, expiryMs: TTL_MS + 8000 };

/** The agent behind a fault proxy; an outage is that it refuses connections. */
function harnessOf(server: RunningServer, config: Partial<ContractHarness>, format?: 'YAML' | 'PROPERTIES' | 'FILES') {
  return async (): Promise<ContractHarness> => {
    const proxy = await RemoteProxy.open(server.url);
    const token = server.token === undefined ? {} : { token: server.token };
    const behind = new ConsulClient({ address: server.url, ...token });
    return {
      definition: (options = {}) =>
        consul({
          ...options,
          ...token,
          address: proxy.url,
          check: { type: 'ttl', ttlMs: TTL_MS },
          watch: { maxBackoffMs: 500 },
          ...(format === undefined ? {} : { config: { format } }),
        }),
      outage: () => proxy.drop(),
      recover: () => proxy.heal(),
      pause: async () => {
        await proxy.blackhole();
        return () => proxy.heal();
      },
      holdRenewal: async () => {
        const before = await proxy.counts();
        await proxy.blackhole('to-client');
        // The renewals of this test's one lease are all that is sent: a blocking query is silent for a minute.
        while ((await proxy.counts()).bytesToServer === before.bytesToServer) await setTimeout(10);
        return () => proxy.heal();
      },
      forget: async (_, instanceId) => void (await behind.services.deregister(instanceId)),
      close: async () => {
        await behind.close();
        await proxy.close();
      },
      ...config,
    };
  };
}

const layer = (application = 'application', profile?: string, separator = ','): string =>
  `config/${application}${profile === undefined ? '' : `${separator}${profile}`}`;

const layouts: Readonly<Record<'KEY_VALUE' | 'YAML' | 'PROPERTIES' | 'FILES', ConfigHarness>> = {
  KEY_VALUE: {
    documentId: (base) => `config/${base}`,
    applicationDocumentId: (application, profile) => `${layer(application, profile)}/marker`,
    prefix: (base) => `config/${base}`,
  },
  YAML: {
    documentId: (base) => `config/${base}/data`,
    applicationDocumentId: (application, profile) => `${layer(application, profile)}/data`,
    prefix: (base) => `config/${base}`,
  },
  PROPERTIES: {
    documentId: (base) => `config/${base}/text`,
    applicationDocumentId: (application, profile) => `${layer(application, profile)}/data`,
    prefix: (base) => `config/${base}`,
    text: (marker) => `marker=${marker}\n`,
  },
  FILES: {
    documentId: (base) => `config/${base}.yml`,
    applicationDocumentId: (application, profile) => `${layer(application, profile, '-')}.yml`,
    prefix: (base) => `config/${base}`,
  },
};

for (const variant of ['dev', 'acl'] as const) {
  withServer('consul', { variant }, (server) => {
    const name = `consul (${variant})`;
    describeRegistryContract(name, harnessOf(server, {}), timing);
    describeDiscoveryContract(name, harnessOf(server, {}), timing);
    describeConfigContract(`${name}, KEY_VALUE`, harnessOf(server, { config: layouts.KEY_VALUE }), timing);
    if (variant === 'acl') return;
    for (const format of ['YAML', 'PROPERTIES', 'FILES'] as const) {
      describeConfigContract(`${name}, ${format}`, harnessOf(server, { config: layouts[format] }, format), timing);
    }
  });
}
