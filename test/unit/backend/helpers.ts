import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect } from 'vitest';
import { DiscoveryError } from '../../../lib/model/index.js';

/** How many listen for the abort of `signal`. */
export function abortListeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

/** A promise and the two ways to end it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((one, two) => {
    resolve = one;
    reject = two;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** Rejects with the signal's reason as soon as it aborts: an operation that would never end by itself. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

/** The error that `promise` rejects with; it must be one of ours. */
export async function rejectionOf(promise: Promise<unknown>): Promise<DiscoveryError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw new Error(`expected a DiscoveryError, got ${String(error)}`, { cause: error });
  }
  throw new Error('expected a rejection');
}

/** What a promise came to so far: for asking without waiting. */
export function watchPromise<T>(promise: Promise<T>): { state: 'pending' | 'resolved' | 'rejected'; times: number } {
  const seen = { state: 'pending' as 'pending' | 'resolved' | 'rejected', times: 0 };
  const note = (state: 'resolved' | 'rejected') => (): void => {
    seen.state = state;
    seen.times += 1;
  };
  promise.then(note('resolved'), note('rejected'));
  return seen;
}

/** Lets everything that waits for promises go on. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Fails every test of the file after which a rejection was left unhandled. */
export function noUnhandledRejections(): void {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => {
    unhandled.length = 0;
    process.on('unhandledRejection', note);
  });
  afterEach(async () => {
    await turn();
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
}
