import { describe, expect, it } from 'vitest';
import { PeriodicTask, type PeriodicTaskOptions } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, noUnhandledRejections, rejectionOf, turn, untilAborted, watchPromise } from './helpers.js';

noUnhandledRejections();

function setUp(run: PeriodicTaskOptions['run'], over: Partial<PeriodicTaskOptions> = {}) {
  const clock = new ManualClock(0);
  const starts: number[] = [];
  const errors: unknown[] = [];
  let running = 0;
  let most = 0;
  const task = new PeriodicTask({
    clock,
    what: 'the heartbeat',
    intervalMs: () => 1000,
    jitter: 0,
    onError: (error) => errors.push(error),
    ...over,
    run: async (signal) => {
      starts.push(clock.now());
      running += 1;
      most = Math.max(most, running);
      try {
        await run(signal);
      } finally {
        running -= 1;
      }
    },
  });
  return { clock, task, starts, errors, most: () => most, running: () => running };
}

describe('PeriodicTask', () => {
  it('runs at once or after an interval, then again and again, until it is stopped', async () => {
    const now = setUp(async () => {});
    now.task.start('now');
    now.task.start('now');
    await now.clock.advance(3500);
    expect(now.starts).toEqual([0, 1000, 2000, 3000]);
    await now.task.stop();
    expect(now.clock.pending).toBe(0);
    now.task.start('now');
    await now.clock.advance(5000);
    expect(now.starts).toHaveLength(4);

    const later = setUp(async () => {});
    later.task.start('after-interval');
    await later.clock.advance(2500);
    expect(later.starts).toEqual([1000, 2000]);
    await later.task.stop();
  });

  it('never overlaps itself: a slow run is timed out at the interval, and the next one comes an interval later (R11)', async () => {
    const { clock, task, starts, errors, most } = setUp((signal) => untilAborted(signal));
    task.start('now');
    await clock.advance(7000);
    expect(starts).toEqual([0, 2000, 4000, 6000]);
    expect(errors).toHaveLength(4);
    expect(errors[0]).toMatchObject({ code: 'TIMEOUT' });
    expect(most()).toBe(1);
    await task.stop();
    expect(clock.pending).toBe(0);
  });

  it('waits by its backoff after failures, and by the interval again from the first success on (R11)', async () => {
    let slow = true;
    const { clock, task, starts, errors, most } = setUp((signal) => (slow ? untilAborted(signal) : Promise.resolve()), {
      retry: { initialMs: 2000, maxMs: 10_000 },
      random: () => 1,
    });
    task.start('now');
    await clock.advance(1000 * (1 + 2 + 1 + 4 + 1 + 8 + 1 + 10 + 1 + 10 + 1));
    // Each run takes the interval, then the pause grows: 2, 4, 8, 10, 10.
    expect(starts).toEqual([0, 3000, 8000, 17_000, 28_000, 39_000]);
    expect(errors).toHaveLength(6);
    slow = false;
    await clock.advance(10_000);
    expect(starts.at(-1)).toBe(50_000);
    await clock.advance(2000);
    expect(starts.slice(-2)).toEqual([51_000, 52_000]);
    expect(most()).toBe(1);
    await task.stop();
    expect(clock.pending).toBe(0);
  });

  it('asks for the interval and the time limit anew every time', async () => {
    let interval = 1000;
    const { clock, task, starts, errors } = setUp(() => new Promise((resolve) => void clock.setTimer(resolve, 60)), {
      intervalMs: () => interval,
      timeoutMs: () => (interval === 1000 ? 100 : 50),
    });
    task.start('now');
    await clock.advance(70);
    expect(errors).toEqual([]);
    interval = 5000;
    await clock.advance(1200);
    expect(starts).toEqual([0, 1060]);
    expect(errors).toHaveLength(1);
    const stopped = task.stop();
    await clock.advance(10);
    await stopped;
  });

  it('shortens an interval by the jitter, and by no more', async () => {
    for (const [random, at] of [
      [0, 1000],
      [0.5, 950],
      [1, 900],
    ] as const) {
      const { clock, task, starts } = setUp(async () => {}, { jitter: 0.1, random: () => random });
      task.start('after-interval');
      await clock.advance(1000);
      expect(starts).toEqual([at]);
      await task.stop();
    }
  });

  it('shares one run among all who ask before it starts, and gives those who ask during it another', async () => {
    const runs = [deferred(), deferred(), deferred()];
    let count = 0;
    const { clock, task, starts } = setUp(() => (runs[count++] ?? deferred()).promise);
    task.start('after-interval');
    const early = Array.from({ length: 10 }, () => watchPromise(task.trigger()));
    await turn();
    expect(starts).toEqual([0]);
    const during = Array.from({ length: 10 }, () => watchPromise(task.trigger()));
    runs[0]?.resolve();
    await turn();
    expect(early.every((one) => one.state === 'resolved' && one.times === 1)).toBe(true);
    expect(during.every((one) => one.state === 'pending')).toBe(true);
    expect(starts).toEqual([0, 0]);
    runs[1]?.resolve();
    await turn();
    expect(during.every((one) => one.state === 'resolved')).toBe(true);
    await clock.advance(999);
    expect(starts).toHaveLength(2);
    await clock.advance(1);
    expect(starts).toHaveLength(3);
    runs[2]?.resolve();
    await task.stop();
    expect(clock.pending).toBe(0);
  });

  it('remembers a trigger from before the start', async () => {
    const { task, starts } = setUp(async () => {});
    const triggered = task.trigger();
    await turn();
    expect(starts).toEqual([]);
    task.start('after-interval');
    await triggered;
    expect(starts).toEqual([0]);
    await task.stop();
  });

  it('tells who asked the error of the run', async () => {
    const error = new Error('no');
    const { task, errors } = setUp(() => Promise.reject(error));
    task.start('after-interval');
    await expect(task.trigger()).rejects.toBe(error);
    expect(errors).toEqual([error]);
    await task.stop();
  });

  it('survives a run that throws at once', async () => {
    let runs = 0;
    const { clock, task, errors } = setUp(async () => {});
    const throwing = new PeriodicTask({
      clock,
      what: 'it',
      intervalMs: () => 100,
      jitter: 0,
      onError: (error) => errors.push(error),
      run: () => {
        runs += 1;
        throw new Error('at once');
      },
    });
    throwing.start('now');
    await clock.advance(200);
    expect(runs).toBe(3);
    expect(errors).toHaveLength(3);
    await throwing.stop();
    await task.stop();
  });

  it('is stopped in the middle of a run: the run is aborted and has ended, nobody hears of an error', async () => {
    const cleanedUp = deferred();
    const { clock, task, errors, running } = setUp(async (signal) => {
      await untilAborted(signal).catch(() => {});
      await cleanedUp.promise;
    });
    task.start('now');
    const waiting = rejectionOf(task.trigger());
    await turn();
    const stopped = watchPromise(task.stop());
    expect((await waiting).code).toBe('ABORTED');
    await turn();
    // The run is still busy with its end.
    expect(running()).toBe(1);
    expect(stopped.state).toBe('pending');
    cleanedUp.resolve();
    await turn();
    expect(stopped.state).toBe('resolved');
    expect(running()).toBe(0);
    expect(errors).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('is stopped, in time, also when the run ignores its signal', async () => {
    const { clock, task } = setUp(() => new Promise(() => {}));
    task.start('now');
    await turn();
    const stopped = watchPromise(task.stop());
    await clock.advance(1000);
    expect(stopped.state).toBe('resolved');
    expect(clock.pending).toBe(0);
  });

  it('is stopped while it sleeps, before it was started, and twice', async () => {
    const sleeping = setUp(async () => {});
    sleeping.task.start('after-interval');
    await sleeping.clock.advance(10);
    await Promise.all([sleeping.task.stop(), sleeping.task.stop()]);
    await sleeping.clock.advance(5000);
    expect(sleeping.starts).toEqual([]);
    expect(sleeping.clock.pending).toBe(0);

    const idle = setUp(async () => {});
    const waiting = rejectionOf(idle.task.trigger());
    await idle.task.stop();
    expect(await waiting).toMatchObject({ code: 'ABORTED', message: 'the heartbeat was stopped' });
    expect((await rejectionOf(idle.task.trigger())).code).toBe('ABORTED');
  });
});
