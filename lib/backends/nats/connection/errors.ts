import { withoutSecretUrls } from '../../../backend/index.js';
import { codeOf, DiscoveryError, messageOf, type DiscoveryErrorDetails } from '../../../model/index.js';
import type { NatsHeaderMap } from './headers.js';

/**
 * The service answered with an error (`Nats-Service-Error` headers): `BACKEND_REFUSED`. Thrown by callers of services;
 * thrown by a handler, its status and description are what the caller gets.
 */
export class NatsServiceError extends DiscoveryError {
  override name = 'NatsServiceError';
  /** The number in `Nats-Service-Error-Code`: 400, 404, 500 … */
  readonly status: number;
  /** The text in `Nats-Service-Error`. */
  readonly description: string;
  /** The body of the answer; often empty. */
  readonly data: Uint8Array;
  readonly headers: NatsHeaderMap;
  declare readonly subject?: string;

  constructor(
    status: number,
    description: string,
    details: DiscoveryErrorDetails & {
      readonly data?: Uint8Array;
      readonly headers?: NatsHeaderMap;
      readonly subject?: string;
    } = {},
  ) {
    const where = details.subject === undefined ? '' : `${details.subject} answered `;
    super('BACKEND_REFUSED', `${where}${status} ${description}`, details);
    this.status = status;
    this.description = description;
    this.data = details.data ?? new Uint8Array();
    this.headers = details.headers ?? new Map();
    if (details.subject !== undefined) this.subject = details.subject;
  }
}

/** Nobody listens on the subject: the server said so at once, and nobody has seen the request. */
export function noResponders(subject: string, details: DiscoveryErrorDetails = {}): DiscoveryError {
  return new DiscoveryError('NO_INSTANCE', `nobody answers on ${subject}: no instance of the service runs`, details);
}

/** True for the way in which either library says that nobody listens. */
export function isNoResponders(error: unknown): boolean {
  if (error instanceof DiscoveryError) return error.code === 'NO_INSTANCE';
  if (codeOf(error) === '503') return true;
  if (!(error instanceof Error)) return false;
  if (error.name === 'NoResponders' || error.name === 'NoRespondersError') return true;
  return error.name === 'RequestError' && isNoResponders(error.cause);
}

/** What a library threw at a request, as ours. */
export function toRequestError(error: unknown, subject: string, timeoutMs: number, service?: string): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  const details = { cause: error, ...(service === undefined ? {} : { service }) };
  if (isNoResponders(error)) return noResponders(subject, details);
  const kind = kindOf(error);
  switch (kind) {
    case 'timeout':
      // The request may have been dealt with or not.
      return new DiscoveryError('TIMEOUT', `no answer on ${subject} within ${timeoutMs} ms`, details);
    case 'closed':
      return new DiscoveryError('BACKEND_CLOSED', `the NATS connection is closed: ${subject} can't be asked`, details);
    case 'refused':
      return new DiscoveryError('BACKEND_REFUSED', `NATS refused ${subject}: ${saying(error)}`, details);
    case 'unavailable':
      return new DiscoveryError('BACKEND_UNAVAILABLE', `NATS can't be asked for ${subject}: ${saying(error)}`, details);
  }
}

/** The message of a library's error, without what may be secret in the URLs of servers. */
export function saying(error: unknown): string {
  return withoutSecretUrls(messageOf(error));
}

/** What a connection's event of an error says; the kind is the same for all of its sort, whatever subject it names. */
export function reported(event: object): { readonly kind: string; readonly text: string } {
  const { data, error } = event as { readonly data?: unknown; readonly error?: unknown };
  if (error === undefined) return { kind: 'an error', text: String(data) };
  return { kind: error instanceof Error ? `a ${error.name}` : 'an error', text: saying(error) };
}

function kindOf(error: unknown): 'timeout' | 'closed' | 'refused' | 'unavailable' {
  const signs = [codeOf(error) ?? '', error instanceof Error ? error.name : ''];
  const has = (...names: readonly string[]): boolean => names.some((name) => signs.includes(name));
  if (has('TIMEOUT', 'TimeoutError')) return 'timeout';
  if (has('CONNECTION_CLOSED', 'CONNECTION_DRAINING', 'ClosedConnectionError', 'DrainingConnectionError')) {
    return 'closed';
  }
  if (
    has(
      'PERMISSIONS_VIOLATION',
      'PermissionViolationError',
      'MAX_PAYLOAD_EXCEEDED',
      'InvalidArgumentError',
      'InvalidSubjectError',
      'BAD_SUBJECT',
      'BAD_HEADER',
      'AUTHORIZATION_VIOLATION',
      'AuthorizationError',
      'AUTHENTICATION_EXPIRED',
      'ACCOUNT_EXPIRED',
      'UserAuthenticationExpiredError',
    )
  ) {
    return 'refused';
  }
  return 'unavailable';
}
