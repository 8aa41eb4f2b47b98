import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff, RateLimit } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

describe('Backoff', () => {
  const clock = new ManualClock();

  it('draws every delay between the floor and a ceiling that grows to the bound', () => {
    const anyOptions = fc.record({
      initialMs: fc.integer({ min: 1, max: 10_000 }),
      maxMs: fc.integer({ min: 1, max: 100_000 }),
      factor: fc.double({ min: 1, max: 4, noNaN: true }),
      minMs: fc.option(fc.integer({ min: 0, max: 200_000 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(anyOptions, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (options, luck) => {
        const { minMs, ...rest } = options;
        const given = { clock, ...rest, ...(minMs === undefined ? {} : { minMs }) };
        const [low, high, some] = [0, 1, luck].map((value) => new Backoff({ ...given, random: () => value }));
        const floor = Math.min(minMs ?? options.initialMs / 5, options.maxMs);
        let before = 0;
        for (let i = 0; i < 100; i += 1) {
          const [least, most, one] = [low?.next() ?? 0, high?.next() ?? 0, some?.next() ?? 0];
          expect(least).toBeCloseTo(floor, 6);
          expect(most).toBeCloseTo(
            Math.max(floor, Math.min(options.maxMs, options.initialMs * options.factor ** Math.min(i, 64))),
            3,
          );
          expect(one).toBeGreaterThanOrEqual(least);
          expect(one).toBeLessThanOrEqual(most);
          expect(most).toBeGreaterThanOrEqual(before);
          expect(one).toBeLessThanOrEqual(options.maxMs);
          before = most;
        }
      }),
      { numRuns: 100 },
    );
  });

  it('has the defaults that it documents, and begins anew after reset()', () => {
    const backoff = new Backoff({ clock, random: () => 1 });
    expect(Array.from({ length: 8 }, () => backoff.next())).toEqual([
      500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
    ]);
    expect(backoff.attempts).toBe(8);
    backoff.reset();
    expect(backoff.attempts).toBe(0);
    expect(backoff.next()).toBe(500);
    expect(new Backoff({ clock, random: () => 0 }).next()).toBe(100);
  });

  it('does not overflow after a very long outage', () => {
    const backoff = new Backoff({ clock, random: () => 1 });
    for (let i = 0; i < 5000; i += 1) expect(backoff.next()).toBeLessThanOrEqual(30_000);
  });

  it('spreads a thousand clients over the whole ceiling', () => {
    const delays = Array.from({ length: 1000 }, () => new Backoff({ clock, initialMs: 1000 }).next());
    const quarter = (from: number) => delays.filter((delay) => delay >= from && delay < from + 200).length;
    for (const from of [200, 400, 600, 800]) expect(quarter(from)).toBeGreaterThan(150);
  });

  it('one delay can be bound lower, and is still spread over all that is left', () => {
    const drawn = (luck: number): number[] => {
      const backoff = new Backoff({ clock, initialMs: 500, random: () => luck });
      return Array.from({ length: 10 }, () => backoff.next(2000));
    };
    expect(Math.max(...drawn(1))).toBe(2000);
    expect(drawn(0.5).at(-1)).toBe(100 + (2000 - 100) / 2);
    expect(new Backoff({ clock, initialMs: 500, random: () => 1 }).next(10)).toBe(10);
  });

  it('waits, and is cut short by the signal', async () => {
    const backoff = new Backoff({ clock, random: () => 1 });
    const controller = new AbortController();
    let done = false;
    const waiting = backoff.wait(controller.signal).then((elapsed) => {
      done = true;
      return elapsed;
    });
    await clock.advance(499);
    expect(done).toBe(false);
    await clock.advance(1);
    expect(await waiting).toBe(true);
    const cut = backoff.wait(controller.signal);
    controller.abort();
    expect(await cut).toBe(false);
    expect(clock.pending).toBe(0);
  });
});

describe('RateLimit', () => {
  it('gives the burst at once and then one turn per interval, however it is asked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 20 }),
        async (burst, pauses) => {
          const clock = new ManualClock(0);
          const rate = new RateLimit({ clock, burst });
          const turns: number[] = [];
          const asking = (async () => {
            for (const pause of pauses) {
              if (pause > 1500) await new Promise<void>((resolve) => void clock.setTimer(resolve, pause));
              if (await rate.take()) turns.push(clock.now());
            }
          })();
          await clock.advance(100_000);
          await asking;
          expect(turns).toHaveLength(pauses.length);
          turns.forEach((at, index) => {
            const earlier = turns[index - burst];
            // Any burst + 1 turns take at least one interval.
            if (earlier !== undefined) expect(at - earlier).toBeGreaterThanOrEqual(1000 - 1e-6);
          });
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('is cut short by the signal, and takes no turn then', async () => {
    const clock = new ManualClock();
    const rate = new RateLimit({ clock, burst: 1 });
    expect(await rate.take(AbortSignal.abort())).toBe(false);
    expect(await rate.take()).toBe(true);
    const controller = new AbortController();
    const waiting = rate.take(controller.signal);
    controller.abort();
    expect(await waiting).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('does not make anybody wait because the clock was set back (R94)', async () => {
    const manual = new ManualClock();
    let shift = 0;
    const rate = new RateLimit({
      clock: { now: () => manual.now() + shift, setTimer: (callback, delay) => manual.setTimer(callback, delay) },
    });
    expect(await rate.take()).toBe(true);
    expect(await rate.take()).toBe(true);
    shift = -3_600_000;
    let took = false;
    const taking = rate.take().then(() => (took = true));
    await manual.advance(1000);
    expect(took).toBe(true);
    await taking;
  });
});
