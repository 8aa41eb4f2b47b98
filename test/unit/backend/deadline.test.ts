import { describe, expect, it } from 'vitest';
import { abandonOnAbort, SingleFlight, withDeadline } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { abortListeners, deferred, noUnhandledRejections, rejectionOf, turn, untilAborted } from './helpers.js';

noUnhandledRejections();

describe('withDeadline', () => {
  const setUp = () => ({ clock: new ManualClock(), controller: new AbortController() });

  it('gives the result or the error of the operation, and leaves nothing behind', async () => {
    const { clock, controller } = setUp();
    const { signal } = controller;
    expect(await withDeadline(clock, 100, signal, 'it', () => Promise.resolve(5))).toBe(5);
    const error = new Error('own');
    await expect(withDeadline(clock, 100, signal, 'it', () => Promise.reject(error))).rejects.toBe(error);
    await expect(
      withDeadline(clock, 100, signal, 'it', () => {
        throw error;
      }),
    ).rejects.toBe(error);
    expect(abortListeners(signal)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it.each(['honours', 'ignores'])('times out an operation that %s its signal', async (how) => {
    const { clock, controller } = setUp();
    let inner: AbortSignal | undefined;
    const late = deferred();
    const result = rejectionOf(
      withDeadline(clock, 100, controller.signal, 'the request', (signal) => {
        inner = signal;
        return how === 'honours' ? untilAborted(signal) : late.promise;
      }),
    );
    await clock.advance(100);
    expect(await result).toMatchObject({ code: 'TIMEOUT', message: 'the request took longer than 100 ms' });
    expect(inner?.aborted).toBe(true);
    expect(abortListeners(controller.signal)).toBe(0);
    expect(clock.pending).toBe(0);
    late.reject(new Error('much later'));
    await turn();
  });

  it('ends with the signal, and hands the abortion on', async () => {
    const { clock, controller } = setUp();
    let inner: AbortSignal | undefined;
    const result = rejectionOf(
      withDeadline(clock, 100, controller.signal, 'the request', (signal) => {
        inner = signal;
        return new Promise(() => {});
      }),
    );
    controller.abort();
    expect((await result).code).toBe('ABORTED');
    expect(inner?.aborted).toBe(true);
    expect(abortListeners(controller.signal)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('does not begin when the signal is aborted already', async () => {
    const { clock } = setUp();
    let begun = false;
    const result = withDeadline(clock, 100, AbortSignal.abort(), 'it', async () => void (begun = true));
    expect((await rejectionOf(result)).code).toBe('ABORTED');
    expect(begun).toBe(false);
    expect(clock.pending).toBe(0);
  });
});

describe('abandonOnAbort', () => {
  it('gives what the promise gives, and leaves no listener', async () => {
    const { signal } = new AbortController();
    expect(await abandonOnAbort(Promise.resolve(5), signal, 'it')).toBe(5);
    expect(await abandonOnAbort(Promise.resolve(5), undefined, 'it')).toBe(5);
    const error = new Error('own');
    await expect(abandonOnAbort(Promise.reject(error), signal, 'it')).rejects.toBe(error);
    expect(abortListeners(signal)).toBe(0);
  });

  it('rejects as soon as the signal aborts; what the promise does later hurts nobody', async () => {
    const controller = new AbortController();
    const slow = deferred<number>();
    const result = rejectionOf(abandonOnAbort(slow.promise, controller.signal, 'waiting for it'));
    controller.abort();
    expect(await result).toMatchObject({ code: 'ABORTED', message: 'waiting for it was aborted' });
    expect(abortListeners(controller.signal)).toBe(0);
    slow.reject(new Error('later'));
    await turn();
  });

  it('leaves no unhandled rejection behind when the signal was aborted before', async () => {
    const failing = Promise.resolve().then(() => {
      throw new Error('later');
    });
    expect((await rejectionOf(abandonOnAbort(failing, AbortSignal.abort(), 'it'))).code).toBe('ABORTED');
    await turn();
  });
});

describe('SingleFlight', () => {
  it('lets 50 concurrent callers share one call and its result (R21)', async () => {
    const flights = new SingleFlight<number>();
    let calls = 0;
    const answer = deferred<number>();
    const all = Array.from({ length: 50 }, () =>
      flights.run('key', () => {
        calls += 1;
        return answer.promise;
      }),
    );
    await turn();
    expect(calls).toBe(1);
    answer.resolve(5);
    expect(await Promise.all(all)).toEqual(Array.from({ length: 50 }, () => 5));
  });

  it('shares errors too, also those thrown at once, and begins anew after either', async () => {
    const flights = new SingleFlight<number>();
    const error = new Error('no');
    let calls = 0;
    const failing = (): Promise<number> => {
      calls += 1;
      throw error;
    };
    const results = await Promise.allSettled([flights.run('k', failing), flights.run('k', failing)]);
    expect(results.map((result) => result.status === 'rejected' && result.reason === error)).toEqual([true, true]);
    expect(calls).toBe(1);
    expect(await flights.run('k', async () => 1)).toBe(1);
    expect(await flights.run('k', async () => 2)).toBe(2);
  });

  it('lets a caller who heard the result start a new flight at once', async () => {
    const flights = new SingleFlight<number>();
    const second = flights.run('k', async () => 1).then(() => flights.run('k', async () => 2));
    expect(await second).toBe(2);
    const afterError = flights
      .run('k', () => Promise.reject(new Error('no')))
      .catch(() => flights.run('k', async () => 3));
    expect(await afterError).toBe(3);
  });

  it('keeps keys apart, whatever they are called', async () => {
    const flights = new SingleFlight<string>();
    const keys = ['a', '__proto__', 'constructor', ''];
    expect(await Promise.all(keys.map((key) => flights.run(key, async () => key)))).toEqual(keys);
  });
});
