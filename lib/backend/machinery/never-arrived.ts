import { codeOf, DiscoveryError } from '../../model/index.js';

/** No connection came about: nothing was sent. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
]);

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
      return attempts.every(({ code = '' }) => code === 'BACKEND_REFUSED' || NOT_CONNECTED.has(code));
    }
  }
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every((one) => neverArrived(one));
  if (NOT_CONNECTED.has(codeOf(error) ?? '')) return true;
  return error instanceof Error && error.cause !== undefined && neverArrived(error.cause);
}
