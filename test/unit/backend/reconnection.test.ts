import { expect, it } from 'vitest';
import { busiest, comeBack, rows, type Row } from '../../bench/reconnect/simulation.js';

const CLIENTS = 1000;

/** The same numbers in every run. */
function seeded(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** After this time everybody is back, in milliseconds: the longest pause, or a renewal that comes before it. */
function longestPause(row: Row): number {
  if ('lease' in row) return Math.min(row.lease.backoff?.maxMs ?? 30_000, row.lease.renewEveryMs?.() ?? Infinity);
  return 'evenly' in row.connect ? row.connect.evenly[1] : row.connect.maxMs;
}

it.each(rows())('$name: a thousand clients come back spread over their pauses, and none later', async (row) => {
  const arrivals = await comeBack(row, CLIENTS, 60_000, seeded());
  expect(arrivals).toHaveLength(CLIENTS);
  expect(arrivals.at(-1)).toBeLessThanOrEqual(longestPause(row));
  // Pauses are drawn from nothing up, so the beginning is fuller; no tenth of a second has five times its even share.
  expect(busiest(arrivals, 100)).toBeLessThanOrEqual((5 * CLIENTS * 100) / longestPause(row));
});

it('clients that don’t draw their pauses come back together, which the figures show', async () => {
  const arrivals = await comeBack({ name: 'x', connect: { initialMs: 200, maxMs: 2000 } }, CLIENTS, 60_000, () => 0.5);
  expect(busiest(arrivals, 100)).toBe(CLIENTS);
});
