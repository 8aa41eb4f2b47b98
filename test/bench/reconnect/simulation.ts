import { Backoff, Host, LeaseKeeper, type Backend, type LeaseOptions } from '../../../lib/backend/index.js';
import { consul } from '../../../lib/backends/consul/index.js';
import { eureka } from '../../../lib/backends/eureka/index.js';
import { nacos } from '../../../lib/backends/nacos/index.js';
import { createRegistration, type Registration } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

/** How the clients of one product come back to it: by renewing, each at its own pace, or by connecting. */
export type Row = { readonly name: string } & (
  | { readonly lease: LeaseOptions }
  | {
      readonly connect:
        { readonly initialMs: number; readonly maxMs: number } | { readonly evenly: readonly [number, number] };
    }
);

/** The pauses of clients whose connection carries everything, with their defaults; see each one's session. */
const SESSIONS: readonly Row[] = [
  { name: 'Nacos, gRPC', connect: { initialMs: 200, maxMs: 5000 } },
  { name: 'NATS', connect: { evenly: [400, 2000] } },
  { name: 'ZooKeeper', connect: { initialMs: 100, maxMs: 2000 } },
];

/** All products, with their defaults. What a lease does is asked of the drivers themselves. */
export function rows(): readonly Row[] {
  return [
    { name: 'Consul', lease: leaseOf(consul({ address: 'http://127.0.0.1:1' })) },
    { name: 'Eureka', lease: leaseOf(eureka({ serviceUrls: ['http://127.0.0.1:1'] })) },
    { name: 'Nacos, HTTP', lease: leaseOf(nacos({ serverAddresses: '127.0.0.1:1', protocol: 'http' })) },
    ...SESSIONS,
  ];
}

const registration = (id: number): Registration =>
  createRegistration({ service: 'ORDERS', host: '10.0.0.1', port: id + 1 });

/** The options that a driver gives its leases. */
function leaseOf(definition: ReturnType<typeof consul>): LeaseOptions {
  const given: LeaseOptions[] = [];
  const { lease } = Host.prototype;
  Host.prototype.lease = function taken(wanted, operations, options) {
    given.push(options);
    return lease.call(this, wanted, operations, options);
  };
  const clock = new ManualClock();
  try {
    const silent = { error() {}, warn() {}, log() {}, debug() {} };
    const backend: Backend = definition.create({
      appId: 'simulated',
      application: { name: 'simulated', profiles: [] },
      logger: silent,
      clock,
      random: () => 0.5,
      report() {},
    });
    void backend.registry?.register(registration(0)).revoke(AbortSignal.abort());
    void backend.close();
  } finally {
    Host.prototype.lease = lease;
  }
  const [options] = given;
  if (options === undefined) throw new Error(`${definition.kind} has no lease`);
  return options;
}

/**
 * When each of many clients first succeeded after an outage, in milliseconds from its end, sorted. They were all well when it
 * began, each somewhere between two of its renewals.
 */
export async function comeBack(row: Row, clients: number, outageMs: number, random = Math.random): Promise<number[]> {
  const clock = new ManualClock(0);
  const server = { down: false, endedAt: Infinity };
  const arrivals: number[] = [];
  const ask = async (first: { came: boolean }): Promise<void> => {
    if (server.down) throw new Error('connect ECONNREFUSED');
    if (first.came || clock.now() < server.endedAt) return;
    first.came = true;
    arrivals.push(clock.now() - server.endedAt);
  };
  const closing = new AbortController();
  const end = 'lease' in row ? leases(row.lease, ask) : sessions(row.connect, ask);
  if ('lease' in row) await clock.advance(row.lease.renewEveryMs?.() ?? 0);
  server.down = true;
  server.endedAt = clock.now() + outageMs;
  await clock.advance(outageMs);
  server.down = false;
  while (arrivals.length < clients) await clock.advance(1000);
  closing.abort();
  await Promise.all([end(), clock.advance(60_000)]);
  return arrivals.toSorted((one, other) => one - other);

  function leases(options: LeaseOptions, asked: typeof ask): () => Promise<unknown> {
    const keepers: LeaseKeeper[] = [];
    const everyMs = options.renewEveryMs?.() ?? 0;
    for (let id = 0; id < clients; id += 1) {
      const first = { came: false };
      clock.setTimer(() => {
        const operations = {
          register: () => asked(first),
          renew: () => asked(first).then(() => 'renewed' as const),
          deregister: () => Promise.resolve('removed' as const),
        };
        const { follow: _follow, onEvent: _onEvent, check: _check, ...rest } = options;
        keepers.push(new LeaseKeeper(registration(id), { ...rest, clock, backend: row.name, operations, random }));
      }, random() * everyMs);
    }
    return () => Promise.all(keepers.map((keeper) => keeper.revoke()));
  }

  function sessions(pauses: Exclude<Row, { lease: unknown }>['connect'], asked: typeof ask): () => Promise<unknown> {
    const loops = Array.from({ length: clients }, async () => {
      const first = { came: false };
      const backoff = 'evenly' in pauses ? undefined : new Backoff({ clock, ...pauses, random });
      const [least, most] = 'evenly' in pauses ? pauses.evenly : [0, 0];
      // They lose the connection at the same moment: it is the server that went.
      await new Promise<void>((resolve) => clock.setTimer(resolve, 1));
      while (!first.came && !closing.signal.aborted) {
        try {
          await asked(first);
        } catch {
          // Tried again.
        }
        if (first.came) return;
        const pauseMs = backoff?.next() ?? least + random() * (most - least);
        await new Promise<void>((resolve) => clock.setTimer(resolve, pauseMs));
      }
    });
    return () => Promise.all(loops);
  }
}

/** The most that came within any span of this length. */
export function busiest(arrivals: readonly number[], spanMs: number): number {
  let most = 0;
  for (let from = 0, to = 0; to < arrivals.length; to += 1) {
    while ((arrivals[to] ?? 0) - (arrivals[from] ?? 0) >= spanMs) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}
