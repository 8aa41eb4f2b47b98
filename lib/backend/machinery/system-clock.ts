import type { Clock } from '../port/clock.js';

/** Node's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(callback, delayMs, options) {
    const timeout = setTimeout(callback, Math.min(Math.max(delayMs, 0), 2 ** 31 - 1));
    if (options?.background === true) timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};

/** Resolves after `delayMs` with true, or as soon as `signal` aborts with false. Never rejects, leaves nothing behind. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted === true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (elapsed: boolean): void => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      resolve(elapsed);
    };
    const onAbort = (): void => end(false);
    const timer = clock.setTimer(() => end(true), delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
