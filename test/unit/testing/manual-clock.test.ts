import { describe, expect, it } from 'vitest';
import { sleep } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

describe('ManualClock', () => {
  it('fires due timers in order of their time, then of their setting, each at its own time', async () => {
    const clock = new ManualClock(1000);
    const fired: string[] = [];
    clock.setTimer(() => fired.push(`b@${clock.now()}`), 20);
    clock.setTimer(() => fired.push(`a@${clock.now()}`), 10);
    clock.setTimer(() => fired.push(`c@${clock.now()}`), 20);
    clock.setTimer(() => fired.push('late'), 51);
    await clock.advance(50);
    expect(fired).toEqual(['a@1010', 'b@1020', 'c@1020']);
    expect(clock.now()).toBe(1050);
    expect(clock.pending).toBe(1);
    expect(clock.nextDueAt).toBe(1051);
  });

  it('lets a loop that awaits between its timers run as often as it would have', async () => {
    const clock = new ManualClock();
    let rounds = 0;
    const closing = new AbortController();
    const loop = (async () => {
      while (await sleep(clock, 100, closing.signal)) {
        for (let i = 0; i < 20; i += 1) await Promise.resolve();
        rounds += 1;
      }
    })();
    await clock.advance(1000);
    expect(rounds).toBe(10);
    closing.abort();
    await loop;
    expect(clock.pending).toBe(0);
  });

  it('forgets a cancelled timer and fires those that are due at once with advance(0)', async () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    clock.setTimer(() => fired.push('cancelled'), 0).cancel();
    clock.setTimer(() => fired.push('negative'), -5);
    clock.setTimer(() => fired.push('NaN'), Number.NaN);
    await clock.advance(0);
    expect(fired).toEqual(['negative', 'NaN']);
    expect(clock.pending).toBe(0);
  });

  it('puts calls made at the same time one after the other', async () => {
    const clock = new ManualClock(0);
    const seen: number[] = [];
    clock.setTimer(() => seen.push(clock.now()), 15);
    await Promise.all([clock.advance(10), clock.advance(10)]);
    expect(seen).toEqual([15]);
    expect(clock.now()).toBe(20);
  });

  it('rejects with what a callback throws, stands there, and goes on afterwards', async () => {
    const clock = new ManualClock(0);
    clock.setTimer(() => {
      throw new Error('from a timer');
    }, 5);
    await expect(clock.advance(10)).rejects.toThrow('from a timer');
    expect(clock.now()).toBe(5);
    await clock.advance(10);
    expect(clock.now()).toBe(15);
  });

  it('refuses to go back, and ends a chain of timers without delay with an error', async () => {
    const clock = new ManualClock();
    await expect(clock.advance(-1)).rejects.toThrow(RangeError);
    const again = (): void => void clock.setTimer(again, 0);
    again();
    await expect(clock.advance(1)).rejects.toThrow('without a delay');
  });
});
