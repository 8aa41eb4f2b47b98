import { describe, expect, it } from 'vitest';
import { sleep, systemClock } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { abortListeners } from './helpers.js';

describe('sleep', () => {
  it('resolves with true after its time, not before, and leaves nothing behind', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    let woke: boolean | undefined;
    const sleeping = sleep(clock, 100, signal).then((elapsed) => (woke = elapsed));
    await clock.advance(99);
    expect(woke).toBeUndefined();
    expect(abortListeners(signal)).toBe(1);
    await clock.advance(1);
    expect(await sleeping).toBe(true);
    expect(abortListeners(signal)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('resolves with false as soon as the signal aborts, and leaves nothing behind', async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 100, controller.signal);
    controller.abort();
    expect(await sleeping).toBe(false);
    expect(abortListeners(controller.signal)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('sets no timer when the signal is aborted already', async () => {
    const clock = new ManualClock();
    expect(await sleep(clock, 100, AbortSignal.abort())).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('does not pile up listeners on a signal that lives long', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i += 1) {
      const sleeping = sleep(clock, 1, signal);
      await clock.advance(1);
      await sleeping;
    }
    expect(abortListeners(signal)).toBe(0);
  });
});

describe('systemClock', () => {
  it('tells the time, and calls back once', async () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1000);
    await new Promise<void>((resolve) => systemClock.setTimer(resolve, 1));
  });

  it('does not fire at once for a delay that is too long for Node, nor ever after cancel()', async () => {
    const fired: string[] = [];
    const timers = [2 ** 31, Infinity, 1e15].map((delay) => systemClock.setTimer(() => fired.push('long'), delay));
    const cancelled = systemClock.setTimer(() => fired.push('cancelled'), 0);
    cancelled.cancel();
    cancelled.cancel();
    await new Promise<void>((resolve) => systemClock.setTimer(resolve, 20));
    for (const timer of timers) timer.cancel();
    expect(fired).toEqual([]);
  });
});
