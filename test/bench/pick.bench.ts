import { STRATEGIES, type BalancingStrategy, type Snapshot } from 'nestjs-service-discovery';
import { Balancer, type Route } from '../../lib/balancing/index.js';
import { createServiceInstance } from '../../lib/model/index.js';
import { median, round } from './statistics.js';

const SIZES = [1, 10, 1000, 10_000] as const;
const PICKS = 400_000;
const ROUNDS = 7;

/** Nanoseconds and bytes of one pick, for each strategy and number of instances. */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const nsPerPick: Record<string, Record<number, number>> = {};
  const bytesPerPick: Record<string, Record<number, number>> = {};
  for (const strategy of STRATEGIES) {
    const ns: Record<number, number> = (nsPerPick[strategy] = {});
    const bytes: Record<number, number> = (bytesPerPick[strategy] = {});
    for (const size of SIZES) {
      const route = build(strategy, size);
      const rounds = Array.from({ length: ROUNDS }, () => measure(route));
      ns[size] = round(median(rounds.map((one) => one.ns)));
      bytes[size] = round(Math.max(0, median(rounds.map((one) => one.bytes))));
    }
  }
  process.stdout.write(`${'ns (bytes) a pick'.padEnd(18)}${SIZES.map((size) => String(size).padStart(16)).join('')}\n`);
  for (const strategy of STRATEGIES) {
    const cells = SIZES.map((size) =>
      `${nsPerPick[strategy]?.[size]} (${bytesPerPick[strategy]?.[size]})`.padStart(16),
    );
    process.stdout.write(`${strategy.padEnd(18)}${cells.join('')}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ nsPerPick, bytesPerPick })}\n`);
}

function build(strategy: BalancingStrategy, size: number): Route {
  const instances = Array.from({ length: size }, (_, index) =>
    createServiceInstance({
      service: 'S',
      host: `10.${index >> 8}.${index & 255}.1`,
      port: 80,
      weight: 1 + (index % 5),
      backend: 'bench',
    }),
  );
  const snapshot: Snapshot = { service: 'S', instances, state: 'fresh', asOf: 0 };
  const view = { current: snapshot, subscribe: () => () => {} };
  const balancer = new Balancer(view, { now: Date.now, random: Math.random, clientId: 'bench' });
  return balancer.route({ balancing: strategy, routing: {}, ejection: {} });
}

function measure(route: Route): { readonly ns: number; readonly bytes: number } {
  const keys = Array.from({ length: 64 }, (_, index) => ({ key: `user-${index}` }));
  const heap = process.memoryUsage().heapUsed;
  const start = process.hrtime.bigint();
  let picked = 0;
  for (let i = 0; i < PICKS; i += 1) if (route.select(keys[i & 63] ?? {}) !== undefined) picked += 1;
  const took = Number(process.hrtime.bigint() - start);
  if (picked !== PICKS) throw new Error('a pick found nobody');
  return { ns: took / PICKS, bytes: (process.memoryUsage().heapUsed - heap) / PICKS };
}
