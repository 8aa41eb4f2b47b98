import type { Clock } from '../port/clock.js';
import type { View } from '../port/view.js';

/** How long {@link until} waits. */
export interface UntilOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits until a view's value fits: true as soon as it does, false when the time was up or `signal` aborted before. Never
 * rejects, and leaves nothing behind: what to tell somebody who waited in vain, only the caller knows.
 */
export function until<T>(
  view: View<T>,
  fits: (value: T) => boolean,
  { clock, timeoutMs, signal }: UntilOptions,
): Promise<boolean> {
  if (fits(view.current)) return Promise.resolve(true);
  if (signal?.aborted === true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (fitted: boolean): void => {
      timer.cancel();
      unsubscribe();
      signal?.removeEventListener('abort', onAbort);
      resolve(fitted);
    };
    const onAbort = (): void => end(false);
    const timer = clock.setTimer(onAbort, timeoutMs);
    const unsubscribe = view.subscribe((value) => {
      if (fits(value)) end(true);
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
