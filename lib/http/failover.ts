import type { Outcome } from '../balancing/index.js';
import { codeOf } from '../model/index.js';
import type { RetryOptions } from './call-options.js';
import { isUnsent } from './transport/index.js';

/** Failures after which the request has surely not reached the instance: no address, no connection, no handshake. */
const UNSENT = new Set([
  // Of the certificate, for axios's own adapter; the pooled transport knows by itself what was sent.
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
]);

/** Failures of a connection that the request may have reached the instance on. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ERR_SOCKET_CLOSED']);

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
 * time-outs and aborts are never repeated.
 */
export function judge(error: unknown, method: string | undefined, retry: Required<RetryOptions>): Verdict {
  const repeatable = isRepeatable(method, retry);
  const status = statusOf(error);
  if (status !== undefined) {
    const elsewhere = repeatable && retry.statuses.includes(status) ? 'within-budget' : 'never';
    return { outcome: outcomeOf(status), elsewhere };
  }
  const code = codeOf(error) ?? '';
  const systemCall = failedSystemCall(error);
  // ETIMEDOUT without a system call is a time-out of the caller's, who has no time left for another try.
  if (isUnsent(error) || UNSENT.has(code) || (code === 'ETIMEDOUT' && systemCall === 'connect')) {
    return { outcome: 'connection-failure', elsewhere: 'always' };
  }
  if (BROKEN.has(code) || (code === 'ETIMEDOUT' && systemCall !== undefined)) {
    return { outcome: 'connection-failure', elsewhere: repeatable ? 'within-budget' : 'never' };
  }
  if (code === 'ECONNABORTED' || code === 'ETIMEDOUT') return { outcome: 'timeout', elsewhere: 'never' };
  // Cancelled, too large, not what was expected: nothing that another instance would do better.
  return { outcome: 'cancelled', elsewhere: 'never' };
}

/** Whether a request with this method may be sent twice. */
export function isRepeatable(method: string | undefined, retry: Required<RetryOptions>): boolean {
  return retry.unsafeMethods || IDEMPOTENT.has((method ?? 'get').toLowerCase());
}

/** What an answer's status says of the instance. */
export function outcomeOf(status: number): Outcome {
  if (status < 500) return 'success';
  return status === 502 || status === 503 || status === 504 ? 'gateway-failure' : 'application-failure';
}

/** Whether a body can be sent again; a stream is gone once it was read. */
export function isReplayable(data: unknown): boolean {
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

function statusOf(error: unknown): number | undefined {
  const response = responseOf(error);
  return response !== undefined && 'status' in response && typeof response.status === 'number'
    ? response.status
    : undefined;
}

function headerOf(error: unknown, name: string): string | undefined {
  const response = responseOf(error);
  if (response === undefined || !('headers' in response)) return undefined;
  const { headers } = response;
  if (typeof headers !== 'object' || headers === null) return undefined;
  const value: unknown = Reflect.get(headers, name);
  return typeof value === 'string' ? value : undefined;
}

function responseOf(error: unknown): object | undefined {
  if (typeof error !== 'object' || error === null || !('response' in error)) return undefined;
  return typeof error.response === 'object' && error.response !== null ? error.response : undefined;
}

/** The system call that failed, which axios keeps in the error's cause. */
function failedSystemCall(error: unknown): unknown {
  for (let at = error; typeof at === 'object' && at !== null; at = 'cause' in at ? at.cause : undefined) {
    if ('syscall' in at && at.syscall !== undefined) return at.syscall;
  }
  return undefined;
}
