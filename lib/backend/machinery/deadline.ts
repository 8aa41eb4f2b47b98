import { DiscoveryError } from '../../model/index.js';
import type { Clock } from '../port/clock.js';

/**
 * Runs `operation` with a signal that aborts after `timeoutMs` or with `signal`, and doesn't wait longer than that even
 * when the operation ignores its signal.
 *
 * @param timeoutMs undefined for no limit but the signal
 * @throws DiscoveryError `TIMEOUT` or `ABORTED`, or whatever the operation rejects with
 */
export async function withDeadline<T>(
  clock: Clock,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
  what: string,
  operation: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) throw new DiscoveryError('ABORTED', `${what} was aborted`);
  const controller = new AbortController();
  let fail: (error: DiscoveryError) => void = () => {};
  const cut = new Promise<never>((_, reject) => {
    fail = (error) => {
      controller.abort(error);
      reject(error);
    };
  });
  const onAbort = (): void => fail(new DiscoveryError('ABORTED', `${what} was aborted`));
  const timer =
    timeoutMs === undefined
      ? undefined
      : clock.setTimer(
          () => fail(new DiscoveryError('TIMEOUT', `${what} took longer than ${timeoutMs} ms`)),
          timeoutMs,
        );
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([operation(controller.signal), cut]);
  } finally {
    timer?.cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Resolves with `promise`, or rejects `ABORTED` as soon as `signal` aborts; the promise itself runs on. */
export async function abandonOnAbort<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  what: string,
): Promise<T> {
  if (signal === undefined) return promise;
  if (signal.aborted) {
    // Nobody else may be listening to it.
    promise.catch(() => {});
    throw new DiscoveryError('ABORTED', `${what} was aborted`);
  }
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new DiscoveryError('ABORTED', `${what} was aborted`));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Resolves when `signal` aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/**
 * Runs what ends by itself soon after its signal aborts, and aborts that after `timeoutMs`, or when `signal` does. What it
 * comes to counts, whenever it does: nothing is left behind.
 */
export async function cutAfter<T>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  run: (cut: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = clock.setTimer(() => limit.abort(), timeoutMs);
  try {
    return await run(signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]));
  } finally {
    timer.cancel();
  }
}
