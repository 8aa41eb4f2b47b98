import {
  codeOf,
  DiscoveryError,
  messageOf,
  type DiscoveryErrorCode,
  type DiscoveryErrorDetails,
} from '../../../model/index.js';

/**
 * Nacos answered with an error. `status` is its own number: 300 the server is starting or the item doesn't exist, 301
 * the connection isn't registered, 302 no such message, 400 invalid, 403 no right, 404/409/410 not found, conflict,
 * exists, 500 and above the server's own trouble.
 */
export class NacosError extends DiscoveryError {
  override name = 'NacosError';
  constructor(
    readonly status: number,
    message: string,
    details: DiscoveryErrorDetails = {},
    /** The message that said so: `ErrorResponse` for trouble of the server, else the answer to the request itself. */
    readonly messageType = 'ErrorResponse',
  ) {
    super(codeFor(status, messageType), message, details);
  }
}

/** Numbers that say "not now" or "not here": another server or another moment may do. */
function codeFor(status: number, messageType: string): DiscoveryErrorCode {
  const notNow = status === 502 || status === 503 || (messageType === 'ErrorResponse' && [300, 301].includes(status));
  return notNow ? 'BACKEND_UNAVAILABLE' : 'BACKEND_REFUSED';
}

/** What gRPC or a socket failed with, in our words: nobody answered. */
export function unavailable(what: string, error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError && error.code !== 'TIMEOUT') return error;
  return new DiscoveryError('BACKEND_UNAVAILABLE', `${what}: ${messageOf(error)}`, { cause: error });
}

/** True for errors that another server, or the same one later, may not have. */
export function isServerFailure(error: unknown): boolean {
  return !(error instanceof DiscoveryError) || error.code === 'BACKEND_UNAVAILABLE' || error.code === 'TIMEOUT';
}

/** The trouble that one outage is, whatever felt it. */
export const SERVERS = 'the connection to the servers';

/** What an error of `what` is told as. */
export function troubleOf(what: string, error: unknown): string {
  return isServerFailure(error) ? SERVERS : what;
}

/** True when the server, and not the way to it, said no for want of a right. */
export function isForbidden(error: unknown): boolean {
  return error instanceof NacosError && (error.status === 403 || error.status === 401);
}

/** A refusal of who has shown no credentials, with the advice to give some; any other error as it is. */
export function withAdvice(
  error: DiscoveryError,
  { username, credentials }: { readonly username?: string | undefined; readonly credentials?: unknown },
): DiscoveryError {
  if (!(error instanceof NacosError) || !isForbidden(error)) return error;
  if (username !== undefined || credentials !== undefined) return error;
  const { status, message, messageType } = error;
  return new NacosError(status, `${message}; give username and password`, { cause: error }, messageType);
}

/** True when a file isn't there; one whose name the file system can't take never is. */
export function isMissingFile(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(codeOf(error) ?? '');
}

/** True for errors in whose place a content kept on disk may stand: nobody answered, or the server has trouble itself. */
export function isOutage(error: unknown): boolean {
  return isServerFailure(error) || (error instanceof NacosError && error.status >= 500);
}
