import { eureka } from '../../lib/backends/eureka/index.js';
import { withServer } from '../servers/for-tests.js';
import type { RunningServer } from '../servers/types.js';
import {
  describeDiscoveryContract,
  describeRegistryContract,
  type ContractHarness,
  type ContractTiming,
} from './contract-harness.js';

/** The server evicts after twice the lease, one instance a run; a run comes every second. */
const timing: ContractTiming = { patienceMs: 15_000, quietMs: 300, expiryMs: 45_000 };

/** Everything goes through a fault proxy in front of each node. */
function harnessFor(server: RunningServer) {
  return async (): Promise<ContractHarness> => {
    const proxies = await Promise.all(server.nodes.map((node) => node.proxy()));
    const urls = proxies.map((proxy) => proxy.url);
    const credentials: Record<string, string> =
      server.username === undefined
        ? {}
        : { authorization: `Basic ${Buffer.from(`${server.username}:${server.password}`).toString('base64')}` };
    return {
      definition: (options = {}) =>
        eureka({
          serviceUrls: urls,
          ...(server.username === undefined || server.password === undefined
            ? {}
            : { username: server.username, password: server.password }),
          fetchIntervalMs: 100,
          // More often than every 500 ms, and servers put off telling their peers again and again.
          heartbeatMs: server.nodes.length > 1 ? 1000 : 250,
          leaseMs: 10_000,
          changeIntervalMs: 50,
          connectTimeoutMs: 500,
          requestTimeoutMs: 4000,
          ...options,
        }),
      outage: async () => void (await Promise.all(proxies.map((proxy) => proxy.drop()))),
      recover: async () => void (await Promise.all(proxies.map((proxy) => proxy.heal()))),
      forget: async (service, instanceId) => {
        const path = `/apps/${encodeURIComponent(service.toUpperCase())}/${encodeURIComponent(instanceId)}`;
        // A peer may not have heard of it yet.
        const forgotten = await Promise.all(
          server.urls.map(async (url) => (await fetch(`${url}${path}`, { method: 'DELETE', headers: credentials })).ok),
        );
        if (!forgotten.includes(true)) throw new Error(`no server had ${instanceId}`);
      },
      holdRenewal: async () => {
        const sent = proxies.map((proxy) => proxy.counts.bytesToServer);
        for (const proxy of proxies) proxy.blackhole('to-client');
        // The heartbeat arrives, its answer doesn't.
        const moved = (): boolean => proxies.some((proxy, i) => proxy.counts.bytesToServer > (sent[i] ?? 0));
        while (!moved()) await new Promise((resolve) => setTimeout(resolve, 10));
        return async () => void (await Promise.all(proxies.map((proxy) => proxy.heal())));
      },
      pause: () => {
        for (const proxy of proxies) proxy.blackhole();
        return Promise.resolve(async () => void (await Promise.all(proxies.map((proxy) => proxy.heal()))));
      },
      close: async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))),
    };
  };
}

for (const variant of ['single', 'peers', 'auth'] as const) {
  withServer('eureka', { variant }, (server) => {
    describeRegistryContract(`eureka (${variant})`, harnessFor(server), timing);
    describeDiscoveryContract(`eureka (${variant})`, harnessFor(server), timing);
  });
}
