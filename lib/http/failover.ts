import { failureOf, outcomeOfFailure, responseOf, type Outcome } from '../balancing/index.js';
import type { RetryOptions } from './call-options.js';
import { isStream, isUnsent, StreamSource } from './transport/index.js';

/** Methods that may be sent twice without doing something twice (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['get', 'head', 'options', 'trace', 'put', 'delete']);

/** What a failed try means. */
export interface Verdict {
  /** What it says of the instance. */
  readonly outcome: Outcome;
  /** Whether another instance may be tried. */
  readonly elsewhere: 'never' | 'within-budget' | 'always';
}

/**
 * Judges a failed try. It may be repeated on another instance always when the request surely was not sent; within the
 * retry budget when the connection broke or the answer was a gateway's, for methods that may be sent twice. Other answers,
 * time-outs unless they are asked for, and aborts are never repeated.
 */
export function judge(error: unknown, method: string | undefined, retry: Required<RetryOptions>): Verdict {
  const repeatable = isRepeatable(method, retry) ? 'within-budget' : 'never';
  const told = failureOf(error);
  const failure = typeof told !== 'number' && isUnsent(error) ? 'unsent' : told;
  const outcome = outcomeOfFailure(failure);
  if (typeof failure === 'number')
    return { outcome, elsewhere: retry.statuses.includes(failure) ? repeatable : 'never' };
  if (failure === 'unsent') return { outcome, elsewhere: 'always' };
  // Who ran out of time has as a rule none left for another try; what is unclear another instance would not do better.
  const isRepeated = failure === 'broken' || (failure === 'timeout' && retry.timeouts);
  return { outcome, elsewhere: isRepeated ? repeatable : 'never' };
}

/** Whether a request with this method may be sent twice. */
export function isRepeatable(method: string | undefined, retry: Required<RetryOptions>): boolean {
  return retry.unsafeMethods || IDEMPOTENT.has((method ?? 'get').toLowerCase());
}

/**
 * Whether a body can be sent again. A stream can until its first piece was taken, or, when the request surely was not sent,
 * as long as what was taken is still there.
 */
export function isReplayable(data: unknown, wasUnsent: boolean): boolean {
  if (isStream(data)) {
    const source = StreamSource.of(data);
    return source.isUntouched || (wasUnsent && source.isWhole);
  }
  return isRepeatableBody(data);
}

/** Whether a body can be sent as often as one likes, also at once. */
export function isRepeatableBody(data: unknown): boolean {
  return (
    typeof data !== 'object' ||
    data === null ||
    !('pipe' in data || 'getReader' in data || Symbol.asyncIterator in data)
  );
}

/** For how long an answer asks to be left alone (`Retry-After`), in milliseconds; 0 when it doesn't. */
export function retryAfterMs(error: unknown, now: number = Date.now()): number {
  const value = headerOf(error, 'retry-after');
  if (value === undefined) return 0;
  const seconds = Number(value);
  const delay = Number.isNaN(seconds) ? Date.parse(value) - now : seconds * 1000;
  return delay > 0 ? delay : 0;
}

function headerOf(error: unknown, name: string): string | undefined {
  const response = responseOf(error);
  if (response === undefined || !('headers' in response)) return undefined;
  const { headers } = response;
  if (typeof headers !== 'object' || headers === null) return undefined;
  const value: unknown = Reflect.get(headers, name);
  return typeof value === 'string' ? value : undefined;
}
