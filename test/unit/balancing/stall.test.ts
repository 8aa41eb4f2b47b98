import { describe, expect, it } from 'vitest';
import { ValueView } from '../../../lib/backend/index.js';
import { Balancer, type EjectionOptions, type InstancePick } from '../../../lib/balancing/index.js';
import { createServiceInstance, type Snapshot } from '../../../lib/model/index.js';

const TIMEOUT_MS = 10_000;
const USUAL_MS = 5;
/** As if nobody looked at calls that have not ended. */
const BEFORE: EjectionOptions = { overdueMs: 1e9 };

interface Load {
  readonly instances: number;
  /** Which of them answer nothing between 5 s and 45 s. */
  readonly stalled: readonly number[];
  readonly everyMs?: number;
  readonly usualMs?: (call: number) => number;
  readonly key?: string;
}

/** Calls at a steady rate for 60 s, of which 40 s have a stall; how they ended, on a clock of its own. */
function run(ejection: EjectionOptions, { instances, stalled, everyMs = 50, usualMs, key }: Load) {
  const list = Array.from({ length: instances }, (_, index) =>
    createServiceInstance({ service: 'S', host: '10.0.0.1', port: index + 1, backend: 'test' }),
  );
  const snapshot: Snapshot = Object.freeze({ service: 'S', instances: list, state: 'fresh', asOf: 0 });
  let now = 1;
  const balancer = new Balancer(new ValueView(snapshot), { now: () => now, random: Math.random, clientId: 'test' });
  const balancing = key === undefined ? 'round-robin' : 'consistent-hash';
  const route = balancer.route({ balancing, routing: {}, ejection });
  const pending: { readonly pick: InstancePick; readonly endsAt: number; readonly fails: boolean }[] = [];
  const picks = list.map(() => 0);
  const recent = list.map(() => 0);
  let calls = 0;
  let failed = 0;
  for (; now < 60_000; now += 1) {
    for (const one of pending.filter(({ endsAt }) => endsAt <= now)) {
      pending.splice(pending.indexOf(one), 1);
      one.pick.end(one.fails ? 'timeout' : 'success');
      if (one.fails) failed += 1;
    }
    if (now % everyMs !== 0) continue;
    const pick = route.pick(key === undefined ? {} : { key });
    if (pick === undefined) throw new Error('nobody');
    const index = pick.instance.port - 1;
    calls += 1;
    picks[index] = (picks[index] ?? 0) + 1;
    if (now > 57_000) recent[index] = (recent[index] ?? 0) + 1;
    const stalls = stalled.includes(index) && now > 5000 && now < 45_000;
    const took = stalls ? Math.max(45_000 - now, USUAL_MS) : (usualMs?.(calls) ?? USUAL_MS);
    pending.push({ pick, endsAt: now + Math.min(took, TIMEOUT_MS), fails: took >= TIMEOUT_MS });
  }
  return { calls, failed, picks, recent };
}

describe('an instance that stalls', () => {
  it('of two gets a call now and then at once, not until the first time-outs', () => {
    const load = { instances: 2, stalled: [0] };
    const before = run(BEFORE, load);
    const after = run({}, load);
    // 90 to 105 calls of 1,200 failed before.
    expect(before.failed).toBeGreaterThan(80);
    expect(after.failed).toBeLessThan(16);
    expect(after.failed).toBeGreaterThan(0);
    // It has its share again when it is back: nobody is forgotten.
    for (const count of after.recent) expect(count).toBeGreaterThan(20);
  });

  it('of many, and several of them', () => {
    expect(run({}, { instances: 10, stalled: [3] }).failed).toBeLessThan(
      run(BEFORE, { instances: 10, stalled: [3] }).failed,
    );
    const load = { instances: 4, stalled: [0, 2] };
    expect(run({}, load).failed).toBeLessThan(run(BEFORE, load).failed / 3);
  });

  it('is passed over though nobody may be left out', () => {
    const stuck = { consecutiveFailures: 1e6, successRate: false };
    expect(run(stuck, { instances: 2, stalled: [0] }).failed).toBeLessThan(40);
  });

  it('keeps getting calls when all have stalled', () => {
    const { picks } = run({}, { instances: 2, stalled: [0, 1] });
    for (const count of picks) expect(count).toBeGreaterThan(200);
  });
});

describe('an instance that is slow', () => {
  it.each([
    ['at all calls', () => 3000],
    ['at one of ten', (call: number) => (call % 10 === 0 ? 8000 : USUAL_MS)],
  ])('is not one that stalls: %s', (_, usualMs) => {
    const { picks, failed } = run({}, { instances: 2, stalled: [], usualMs });
    expect(failed).toBe(0);
    for (const count of picks) expect(count).toBeGreaterThan(480);
  });

  it('keeps the calls that have a key', () => {
    const { picks } = run({}, { instances: 2, stalled: [], usualMs: () => 3000, key: 'carla' });
    expect(picks.filter((count) => count > 0)).toHaveLength(1);
  });
});
