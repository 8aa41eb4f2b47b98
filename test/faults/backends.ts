import type { ProductName, RunningServer, Settings } from '../servers/types.js';

/** What an app's process makes a backend of: plain data. */
export interface BackendSpec {
  readonly product: ProductName | 'local' | 'dns';
  readonly layout?: 'asab' | 'curator';
  readonly options: Readonly<Record<string, unknown>>;
}

/** One row of the suite: a backend, and a server that faults happen to. */
export interface FaultedBackend {
  readonly name: string;
  readonly product: ProductName;
  readonly variant: string;
  readonly settings?: Settings;
  readonly nodes: number;
  /** Its server has its data on a disk. */
  readonly keepsData: boolean;
  /** Part of the quick half. */
  readonly quick: boolean;
  /** The backend's options for servers at these addresses: the proxies', or the servers' own. */
  spec(server: RunningServer, addresses: readonly Address[]): BackendSpec;
  /** How long it takes until callers have heard of a change, with the defaults, in milliseconds. @default 3000 */
  readonly newsMs?: number;
  /** How long Spring's own gateway takes to hear of a change, with its defaults, in milliseconds: only where it is tried. */
  readonly springNewsMs?: number;
  /** Options of the quick half, for products whose leases are long. */
  readonly quickly?: { readonly options: Readonly<Record<string, unknown>>; readonly leaseMs: number };
  /** Within this time after a fault has ended everybody knows everybody again, in milliseconds. */
  readonly recoveryMs: number;
  /** How long after an instance died its record may stay, in milliseconds. */
  readonly leaseMs: number;
}

/** Where one server is reached. */
export interface Address {
  readonly url: string;
  readonly port: number;
}

const urls = (addresses: readonly Address[]): readonly string[] => addresses.map(({ url }) => url);

/** All of them, with the options that a user would have: the defaults. */
export const BACKENDS: readonly FaultedBackend[] = [
  {
    name: 'consul',
    product: 'consul',
    variant: 'server',
    nodes: 1,
    keepsData: true,
    quick: true,
    spec: (_, [address]) => ({ product: 'consul', options: { address: address?.url } }),
    // What docs/lifecycle.md says: its balancer keeps a list for 35 s.
    springNewsMs: 40_000,
    recoveryMs: 60_000,
    leaseMs: 30_000,
  },
  {
    name: 'eureka',
    product: 'eureka',
    variant: 'single',
    nodes: 1,
    keepsData: false,
    quick: true,
    spec: (_, addresses) => ({ product: 'eureka', options: { serviceUrls: urls(addresses) } }),
    recoveryMs: 120_000,
    // What the backend says itself: the server's cache, the client's and Spring's balancer.
    newsMs: 90_000,
    springNewsMs: 90_000,
    // The server counts a lease twice.
    leaseMs: 180_000,
    quickly: { options: { heartbeatMs: 2000, leaseMs: 8000, fetchIntervalMs: 1000 }, leaseMs: 16_000 },
  },
  {
    name: 'eureka, two peers',
    product: 'eureka',
    variant: 'peers',
    nodes: 2,
    keepsData: false,
    quick: false,
    spec: (_, addresses) => ({ product: 'eureka', options: { serviceUrls: urls(addresses) } }),
    recoveryMs: 120_000,
    // What the backend says itself: the server's cache, the client's and Spring's balancer.
    newsMs: 90_000,
    // The server counts a lease twice.
    leaseMs: 180_000,
    quickly: { options: { heartbeatMs: 2000, leaseMs: 8000, fetchIntervalMs: 1000 }, leaseMs: 16_000 },
  },
  {
    name: 'nacos',
    product: 'nacos',
    variant: 'auth',
    nodes: 1,
    keepsData: true,
    quick: true,
    spec: ({ username, password }, [address]) => ({
      product: 'nacos',
      options: { serverAddresses: `127.0.0.1:${address?.port}`, username, password },
    }),
    recoveryMs: 60_000,
    leaseMs: 30_000,
  },
  {
    name: 'nats',
    product: 'nats',
    variant: 'current',
    nodes: 1,
    keepsData: true,
    quick: true,
    spec: (_, addresses) => ({ product: 'nats', options: { servers: urls(addresses) } }),
    recoveryMs: 60_000,
    leaseMs: 30_000,
  },
  {
    name: 'zookeeper, ASAB',
    product: 'zookeeper',
    variant: 'single',
    nodes: 1,
    keepsData: true,
    quick: true,
    spec: (_, addresses) => ({ product: 'zookeeper', layout: 'asab', options: { servers: urls(addresses).join(',') } }),
    recoveryMs: 60_000,
    leaseMs: 30_000,
  },
  {
    name: 'zookeeper, Curator, ensemble',
    product: 'zookeeper',
    variant: 'ensemble',
    nodes: 3,
    keepsData: true,
    quick: false,
    spec: (_, addresses) => ({
      product: 'zookeeper',
      layout: 'curator',
      options: { servers: urls(addresses).join(',') },
    }),
    recoveryMs: 60_000,
    leaseMs: 30_000,
  },
];
