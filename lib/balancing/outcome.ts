import { codeOf } from '../model/index.js';
import type { Outcome } from './endpoint.js';

/** Failures after which the request has surely not reached the instance: no address, no connection, no handshake. */
const UNSENT = new Set([
  // Of the certificate, for clients other than the pooled transport, which knows by itself what was sent.
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
  // The handshake with a port that speaks no TLS.
  'EPROTO',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Failures of a connection that the request may have reached the instance on. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ERR_SOCKET_CLOSED', 'UND_ERR_SOCKET']);

const TIMEOUT = new Set(['ECONNABORTED', 'ETIMEDOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/**
 * What an error says of a call: the status that was answered, or that it surely wasn't sent, that its connection broke,
 * that its time was up; `unclear`: cancelled, too large, not what was expected: nothing that speaks against the instance.
 */
export type Failure = number | 'unsent' | 'broken' | 'timeout' | 'unclear';

/** Reads the errors of axios, Node and `fetch`. */
export function failureOf(error: unknown): Failure {
  const status = statusOf(error);
  if (status !== undefined) return status;
  // `fetch` tells the code in the cause only.
  const code = codeOf(error) ?? codeOf(causeOf(error)) ?? '';
  const systemCall = failedSystemCall(error);
  // ETIMEDOUT without a system call is a time-out of the caller's.
  if (UNSENT.has(code) || (code === 'ETIMEDOUT' && systemCall === 'connect')) return 'unsent';
  if (BROKEN.has(code) || (code === 'ETIMEDOUT' && systemCall !== undefined)) return 'broken';
  return TIMEOUT.has(code) || (error instanceof Error && error.name === 'TimeoutError') ? 'timeout' : 'unclear';
}

/** What an error says of the instance that was called. */
export function outcomeOfError(error: unknown): Outcome {
  return outcomeOfFailure(failureOf(error));
}

export function outcomeOfFailure(failure: Failure): Outcome {
  switch (failure) {
    case 'unsent':
    case 'broken':
      return 'connection-failure';
    case 'timeout':
      return 'timeout';
    case 'unclear':
      return 'cancelled';
    default:
      return outcomeOfStatus(failure);
  }
}

/** What an answer's status says of the instance. */
export function outcomeOfStatus(status: number): Outcome {
  if (status < 500) return 'success';
  return status === 502 || status === 503 || status === 504 ? 'gateway-failure' : 'application-failure';
}

/** The answer that an error of axios's carries. */
export function responseOf(error: unknown): object | undefined {
  if (typeof error !== 'object' || error === null || !('response' in error)) return undefined;
  return typeof error.response === 'object' && error.response !== null ? error.response : undefined;
}

function statusOf(error: unknown): number | undefined {
  const response = responseOf(error);
  return response !== undefined && 'status' in response && typeof response.status === 'number'
    ? response.status
    : undefined;
}

function causeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'cause' in error ? error.cause : undefined;
}

/** The system call that failed, which axios keeps in the error's cause. */
function failedSystemCall(error: unknown): unknown {
  for (let at = error; typeof at === 'object' && at !== null; at = causeOf(at)) {
    if ('syscall' in at && at.syscall !== undefined) return at.syscall;
  }
  return undefined;
}
