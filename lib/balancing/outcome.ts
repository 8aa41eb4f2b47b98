import { codeOf, failedSystemCall, grpcFailureOf, networkFailureOf, type NetworkFailure } from '../model/index.js';
import type { Outcome } from './endpoint.js';

/**
 * What an error says of a call: the status that was answered, or that it surely wasn't sent, that its connection broke,
 * that its time was up; `unclear`: cancelled, too large, not what was expected: nothing that speaks against the instance.
 */
export type Failure = number | NetworkFailure;

/** Reads the errors of axios, Node, `fetch` and gRPC. */
export function failureOf(error: unknown): Failure {
  return statusOf(error) ?? connectionFailureOf(error);
}

function connectionFailureOf(error: unknown): NetworkFailure {
  // `fetch` tells the code in the cause only.
  const code = codeOf(error) ?? codeOf(causeOf(error));
  const failure = networkFailureOf(code, failedSystemCall(error)) ?? grpcFailureOf(error) ?? 'unclear';
  return failure === 'unclear' && error instanceof Error && error.name === 'TimeoutError' ? 'timeout' : failure;
}

/** What an error says of the instance that was called. */
export function outcomeOfError(error: unknown): Outcome {
  return outcomeOfFailure(failureOf(error));
}

/** What an answer broke off by says of the instance: how the connection ended, whatever status it had begun with. */
export function outcomeOfBreak(error: unknown): Outcome {
  return outcomeOfFailure(connectionFailureOf(error));
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
