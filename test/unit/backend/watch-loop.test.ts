import { describe, expect, it } from 'vitest';
import { WatchLoop, type WatchLoopOptions } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, noUnhandledRejections, turn, untilAborted, watchPromise } from './helpers.js';

noUnhandledRejections();

function setUp(round: WatchLoopOptions['round'], over: Partial<WatchLoopOptions> = {}) {
  const clock = new ManualClock(0);
  const starts: number[] = [];
  const errors: unknown[] = [];
  const signals: AbortSignal[] = [];
  let running = 0;
  let most = 0;
  const loop = new WatchLoop({
    clock,
    random: () => 1,
    onError: (error) => errors.push(error),
    ...over,
    round: async (signal) => {
      starts.push(clock.now());
      signals.push(signal);
      expect(signal.aborted).toBe(false);
      running += 1;
      most = Math.max(most, running);
      try {
        await round(signal);
      } finally {
        running -= 1;
      }
    },
  });
  return { clock, loop, starts, errors, signals, most: () => most, running: () => running };
}

describe('WatchLoop', () => {
  it('asks a server that answers at once, 1,000 times, no more than burst and rate allow (R30)', async () => {
    const { clock, loop, starts, most } = setUp(async () => {});
    loop.start();
    loop.start();
    await clock.advance(10_000);
    expect(starts).toEqual([0, 0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000]);
    await clock.advance(988_000);
    expect(starts).toHaveLength(1000);
    expect(most()).toBe(1);
    await loop.close();
    expect(clock.pending).toBe(0);
  });

  it('keeps the rate for any burst and interval', async () => {
    const { clock, loop, starts } = setUp(async () => {}, { burst: 5, minIntervalMs: 100 });
    loop.start();
    await clock.advance(1000);
    expect(starts).toHaveLength(15);
    await loop.close();
  });

  it('earns its burst again while a round waits at the server', async () => {
    let quick = true;
    const { clock, loop, starts } = setUp((signal) =>
      quick ? Promise.resolve() : new Promise((resolve) => (clock.setTimer(resolve, 5000), signal)),
    );
    loop.start();
    await turn();
    quick = false;
    await clock.advance(1000 + 5000 + 10);
    // 0, 0 quick; 1000 waits until 6000; then the next begins at once.
    expect(starts).toEqual([0, 0, 1000, 6000]);
    quick = true;
    await clock.advance(5000);
    expect(starts).toEqual([0, 0, 1000, 6000, 11_000, 11_000]);
    await loop.close();
    expect(clock.pending).toBe(0);
  });

  it('follows a failing round with a backoff, tells every error, and survives each (R31)', async () => {
    let failing = true;
    const { clock, loop, starts, errors } = setUp(
      () =>
        failing ? Promise.reject(new Error('500')) : new Promise<void>((resolve) => clock.setTimer(resolve, 2000)),
      { backoff: { initialMs: 1000, maxMs: 4000 } },
    );
    loop.start();
    await clock.advance(15_000);
    expect(starts).toEqual([0, 1000, 3000, 7000, 11_000, 15_000]);
    expect(errors).toHaveLength(6);
    failing = false;
    await clock.advance(4000);
    expect(starts.at(-1)).toBe(19_000);
    await clock.advance(2000);
    failing = true;
    await clock.advance(2000);
    // It began anew after the success: the first delay again.
    await clock.advance(1000);
    expect(starts.slice(-3)).toEqual([21_000, 23_000, 24_000]);
    await loop.close();
    expect(clock.pending).toBe(0);
  });

  it('survives a round that throws at once', async () => {
    const errors: unknown[] = [];
    const clock = new ManualClock();
    const loop = new WatchLoop({
      clock,
      onError: (error) => errors.push(error),
      round: () => {
        throw new Error('at once');
      },
    });
    loop.start();
    await clock.advance(60_000);
    expect(errors.length).toBeGreaterThan(2);
    await loop.close();
  });

  it('breaks the present round off with again(), which is no error', async () => {
    const { clock, loop, starts, errors, signals, most } = setUp((signal) => untilAborted(signal));
    loop.start();
    await clock.advance(500);
    loop.again();
    await clock.advance(0);
    expect(signals[0]?.aborted).toBe(true);
    expect(starts).toEqual([0, 500]);
    expect(errors).toEqual([]);
    expect(most()).toBe(1);
    await loop.close();
  });

  it('breaks a backoff off with again()', async () => {
    let failing = true;
    const { clock, loop, starts } = setUp(
      (signal) => (failing ? Promise.reject(new Error('no')) : untilAborted(signal)),
      {
        backoff: { initialMs: 60_000, maxMs: 60_000 },
      },
    );
    loop.start();
    await clock.advance(10_000);
    expect(starts).toEqual([0]);
    failing = false;
    loop.again();
    await clock.advance(0);
    expect(starts).toEqual([0, 10_000]);
    await loop.close();
    expect(clock.pending).toBe(0);
  });

  it('does again() during the wait for its turn with the one round that follows', async () => {
    const { clock, loop, starts, errors } = setUp(async (signal) => {
      if (starts.length > 2) await untilAborted(signal);
    });
    loop.start();
    await clock.advance(500);
    expect(starts).toEqual([0, 0]);
    loop.again();
    loop.again();
    await clock.advance(499);
    expect(starts).toEqual([0, 0]);
    await clock.advance(1);
    // The round got a signal of its own (checked in `round`), and stays.
    expect(starts).toEqual([0, 0, 1000]);
    await clock.advance(10_000);
    expect(starts).toEqual([0, 0, 1000]);
    expect(errors).toEqual([]);
    await loop.close();
  });

  it('bounds a storm of again()', async () => {
    const { clock, loop, starts } = setUp((signal) => untilAborted(signal));
    loop.start();
    for (let i = 0; i < 100; i += 1) {
      loop.again();
      await clock.advance(10);
    }
    expect(starts.length).toBeLessThanOrEqual(3);
    await loop.close();
  });

  it('is closed during a round, a backoff, a wait for its turn, before its start, and twice', async () => {
    const round = setUp((signal) => untilAborted(signal));
    round.loop.start();
    await turn();
    await Promise.all([round.loop.close(), round.loop.close()]);
    expect(round.running()).toBe(0);
    expect(round.errors).toEqual([]);

    const backoff = setUp(() => Promise.reject(new Error('no')));
    backoff.loop.start();
    await turn();
    expect(backoff.clock.pending).toBe(1);
    await backoff.loop.close();

    const rate = setUp(async () => {});
    rate.loop.start();
    await turn();
    expect(rate.starts).toEqual([0, 0]);
    expect(rate.clock.pending).toBe(1);
    await rate.loop.close();

    const idle = setUp(async () => {});
    await idle.loop.close();
    idle.loop.start();
    await turn();
    expect(idle.starts).toEqual([]);

    for (const one of [round, backoff, rate]) {
      const before = one.starts.length;
      one.loop.again();
      await one.clock.advance(600_000);
      expect(one.starts).toHaveLength(before);
      expect(one.clock.pending).toBe(0);
    }
  });

  it('has ended when close() resolves, not before', async () => {
    const last = deferred();
    const { loop } = setUp(() => last.promise);
    loop.start();
    await turn();
    const closing = watchPromise(loop.close());
    await turn();
    expect(closing.state).toBe('pending');
    last.resolve();
    await turn();
    expect(closing.state).toBe('resolved');
  });
});
