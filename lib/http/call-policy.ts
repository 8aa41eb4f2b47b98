import type { GenericAbortSignal } from 'axios';

/**
 * Anything that runs a call, and may refuse it, end it or repeat it: a policy of cockatiel's (a circuit breaker, a time-out, or
 * several wrapped), or of your own.
 */
export interface CallPolicy {
  /**
   * @param call makes the whole call, its retries on other instances included
   * @param signal the caller's
   */
  execute<T>(call: (context: { readonly signal: AbortSignal }) => PromiseLike<T> | T, signal?: AbortSignal): Promise<T>;
}

/** Whether a value is one. */
export function isCallPolicy(value: unknown): value is CallPolicy {
  return typeof value === 'object' && value !== null && 'execute' in value && typeof value.execute === 'function';
}

/** A signal as the platform has it, of one that can only be listened to; and how to let go of that. */
export function platformSignal(signal: GenericAbortSignal | undefined): {
  readonly signal: AbortSignal | undefined;
  readonly release: () => void;
} {
  if (signal === undefined || signal instanceof AbortSignal) return { signal, release: () => {} };
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (signal.aborted) abort();
  signal.addEventListener?.('abort', abort);
  return { signal: controller.signal, release: () => signal.removeEventListener?.('abort', abort) };
}
