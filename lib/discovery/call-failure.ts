import { failureOf } from '../balancing/index.js';
import { codeOf, NoInstanceError, NoSnapshotError, type DiscoveryError } from '../model/index.js';
import type { CallResult } from '../observability/index.js';

/** True for our errors that say there was nobody to call. */
export function isNobodyToCall(error: unknown): error is DiscoveryError {
  return error instanceof NoInstanceError || error instanceof NoSnapshotError;
}

/** What a call's error says of how it ended. */
export function resultOfError(error: unknown): CallResult {
  const failure = failureOf(error);
  if (typeof failure === 'number') return { outcome: 'failed', status: failure, errorType: String(failure), error };
  const errorType = typeOf(error);
  return { outcome: isNobodyToCall(error) || isGivenUp(error) ? 'discarded' : 'failed', errorType, error };
}

/** Whether the caller gave up: axios's error, that of a standard signal. */
function isGivenUp(error: unknown): boolean {
  return codeOf(error) === 'ERR_CANCELED' || (error instanceof Error && error.name === 'AbortError');
}

/** One of few words. A code may hold anything, where the code of others makes the call. */
function typeOf(error: unknown): string {
  const code = codeOf(error) ?? (error instanceof Error ? codeOf(error.cause) : undefined);
  if (code !== undefined && /^[A-Z][A-Z0-9_]{1,40}$/.test(code)) return code;
  return error instanceof Error && /^[A-Z]\w{1,40}Error$/.test(error.name) ? error.name : '_OTHER';
}
