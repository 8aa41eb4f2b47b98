import { codeOf } from './errors.js';
import { failedSystemCall, networkFailureOf } from './network-failure.js';

/** What a failed call failed by: nobody answered (no connection, a broken one, a time-out), or an HTTP error was answered. */
export type CallFailure = 'unanswered' | 'http';

/**
 * Tells the failure of a call, as axios, `fetch`, undici, Node and gRPC throw it, from any other exception of the code that
 * made it; undefined for the latter, which nobody else would do better.
 */
export function callFailureOf(error: unknown): CallFailure | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1) {
    if (isHttpError(at)) return 'http';
    if (at.name === 'TimeoutError' || isOfNetwork(at) || isFetchFailure(at) || grpcFailureOf(at) !== undefined) {
      return 'unanswered';
    }
  }
  return undefined;
}

function isOfNetwork(error: Error): boolean {
  return networkFailureOf(codeOf(error), failedSystemCall(error)) !== undefined;
}

/** An error that stands for an answer: of axios and those like it, which carry it, or of those who note its status. */
function isHttpError(error: Error): boolean {
  const { response, status, statusCode } = error as { response?: unknown; status?: unknown; statusCode?: unknown };
  const answered =
    typeof response === 'object' && response !== null ? (response as { status?: unknown }).status : undefined;
  return [answered, status, statusCode].some((one) => typeof one === 'number' && one >= 300 && one < 600);
}

/** Undici's `fetch` throws one kind of TypeError for whatever happens on the network. */
function isFetchFailure(error: Error): boolean {
  return error instanceof TypeError && (error.message === 'fetch failed' || error.message === 'terminated');
}

/** What DEADLINE_EXCEEDED and UNAVAILABLE say, as grpc-js and Connect throw them; undefined for any other error. */
export function grpcFailureOf(error: unknown): 'timeout' | 'broken' | undefined {
  if (!(error instanceof Error && 'details' in error && 'code' in error)) return undefined;
  if (error.code === 4) return 'timeout';
  return error.code === 14 ? 'broken' : undefined;
}
