import { codeOf } from '../model/index.js';

/** Failures after which the request has surely not reached the instance: no address, no connection, no handshake. */
const UNSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL']);

/** Failures of a connection that the request may have reached the instance on. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ERR_SOCKET_CLOSED']);

/** Methods that may be sent twice without doing something twice (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['get', 'head', 'options', 'trace', 'put', 'delete']);

/**
 * Whether a failed try may be repeated on another instance: always when the request surely was not sent, otherwise only
 * for methods that may be sent twice. Answers, time-outs and aborts are never repeated.
 */
export function mayTryElsewhere(error: unknown, method: string | undefined): boolean {
  const code = codeOf(error);
  if (code === undefined || hasResponse(error)) return false;
  const systemCall = failedSystemCall(error);
  // ETIMEDOUT without a system call is a time-out of the caller's, who has no time left for another try.
  if (UNSENT.has(code) || (code === 'ETIMEDOUT' && systemCall === 'connect')) return true;
  return (
    (BROKEN.has(code) || (code === 'ETIMEDOUT' && systemCall !== undefined)) &&
    IDEMPOTENT.has((method ?? 'get').toLowerCase())
  );
}

/** Whether a body can be sent again; a stream is gone once it was read. */
export function isReplayable(data: unknown): boolean {
  return (
    typeof data !== 'object' ||
    data === null ||
    !('pipe' in data || 'getReader' in data || Symbol.asyncIterator in data)
  );
}

function hasResponse(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'response' in error && error.response !== undefined;
}

/** The system call that failed, which axios keeps in the error's cause. */
function failedSystemCall(error: unknown): unknown {
  for (let at = error; typeof at === 'object' && at !== null; at = 'cause' in at ? at.cause : undefined) {
    if ('syscall' in at && at.syscall !== undefined) return at.syscall;
  }
  return undefined;
}
