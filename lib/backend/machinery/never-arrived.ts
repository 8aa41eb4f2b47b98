import { codeOf, DiscoveryError, failedSystemCall, networkFailureOf } from '../../model/index.js';

/**
 * Whether a failed write surely changed nothing: the server refused it, or none could be connected to. A time-out and a
 * connection that broke leave it open.
 */
export function neverArrived(error: unknown): boolean {
  if (error instanceof DiscoveryError) {
    if (error.code === 'BACKEND_REFUSED') return true;
    if (error.code === 'TIMEOUT' || error.code === 'ABORTED') return false;
    const { attempts = [] } = error;
    if (attempts.length > 0) {
      return attempts.every(({ code = '' }) => code === 'BACKEND_REFUSED' || networkFailureOf(code) === 'unsent');
    }
  }
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every((one) => neverArrived(one));
  if (networkFailureOf(codeOf(error), failedSystemCall(error)) === 'unsent') return true;
  return error instanceof Error && error.cause !== undefined && neverArrived(error.cause);
}
