import { busiest, comeBack, rows } from './reconnect/simulation.js';

const CLIENTS = 1000;
const OUTAGE_MS = 60_000;
/** Ends of the columns, in seconds after the end of the outage. */
const ENDS = [0.1, 0.5, 1, 2, 5, 10, 20, 30];

/**
 * When a thousand clients of each product come back after an outage of a minute: simulated on a manual clock, with the
 * leases and pauses that the backends have by default.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const heads = [...ENDS.map((end) => `≤ ${end} s`), 'later', 'busiest 0.1 s', 'all by s'];
  process.stdout.write(`${''.padEnd(14)}${heads.map((head) => head.padStart(14)).join('')}\n`);
  const results: Record<string, { readonly busiest: number; readonly lastMs: number }> = {};
  for (const row of rows()) {
    const arrivals = await comeBack(row, CLIENTS, OUTAGE_MS);
    const counts = [...ENDS, Infinity].map((end, at) => {
      const from = at === 0 ? -1 : (ENDS[at - 1] ?? 0) * 1000;
      return arrivals.filter((ms) => ms > from && ms <= end * 1000).length;
    });
    const lastMs = arrivals.at(-1) ?? 0;
    results[row.name] = { busiest: busiest(arrivals, 100), lastMs };
    const cells = [...counts, busiest(arrivals, 100), (lastMs / 1000).toFixed(1)];
    process.stdout.write(`${row.name.padEnd(14)}${cells.map((cell) => String(cell).padStart(14)).join('')}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify(results)}\n`);
}
