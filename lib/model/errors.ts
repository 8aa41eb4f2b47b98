/**
 * Stable identifiers of everything that can go wrong. A code never changes its meaning; messages may.
 *
 * | code | thrown when |
 * |---|---|
 * | `INVALID_OPTION` | an option is unknown, has the wrong type or is out of range; `field` names it |
 * | `INVALID_NAME` | a service, instance, document or file name holds what it must not (`../`, a control character …) |
 * | `INVALID_INSTANCE` | a registry record or a static entry can't be an instance |
 * | `DUPLICATE_BACKEND` | two different backends of one app have the same name |
 * | `MODULE_ALREADY_CONFIGURED` | `DiscoveryModule.forRoot` was imported twice in one app |
 * | `MISSING_PEER` | an optional npm package that a backend needs isn't installed |
 * | `PEER_UNUSABLE` | an optional npm package is installed and can't be loaded; `cause` says why |
 * | `UNSUPPORTED` | the backend, or this version of its server, has no such feature |
 * | `BACKEND_UNAVAILABLE` | no server of the backend answered |
 * | `BACKEND_REFUSED` | the server answered and said no (rights, conflict, invalid data) |
 * | `BACKEND_CLOSED` | used after `close()` |
 * | `NO_SNAPSHOT` | nobody could say yet which instances the service has |
 * | `NO_INSTANCE` | the registry answered, and the service has no instance that may be called |
 * | `BULKHEAD_FULL` | as many calls to the service are under way, and wait, as may |
 * | `INVALID_RESPONSE` | a service's answer doesn't fit the schema that a declarative client gives for it |
 * | `REGISTRATION_FAILED` | the app could not be registered and was told to fail fast |
 * | `LEASE_REVOKED` | a lease was used after it was revoked |
 * | `CONFIG_UNAVAILABLE` | the configuration could not be loaded at start |
 * | `CONFIG_DOCUMENT_INVALID` | a configuration document doesn't parse |
 * | `CONFIG_VALUE_INVALID` | a value doesn't fit its schema or type |
 * | `CONFIG_VALUE_MISSING` | a value without a default isn't configured |
 * | `CONFIG_CONFLICT` | a compare-and-set publish met a newer revision |
 * | `SHUTDOWN_HOOKS_CONFLICT` | `enableShutdownHooks()` and `enableGracefulShutdown()` are both on |
 * | `TIMEOUT` | a bounded wait ended |
 * | `ABORTED` | the caller's signal ended the operation |
 */
export type DiscoveryErrorCode =
  | 'INVALID_OPTION'
  | 'INVALID_NAME'
  | 'INVALID_INSTANCE'
  | 'DUPLICATE_BACKEND'
  | 'MODULE_ALREADY_CONFIGURED'
  | 'MISSING_PEER'
  | 'PEER_UNUSABLE'
  | 'UNSUPPORTED'
  | 'BACKEND_UNAVAILABLE'
  | 'BACKEND_REFUSED'
  | 'BACKEND_CLOSED'
  | 'NO_SNAPSHOT'
  | 'NO_INSTANCE'
  | 'BULKHEAD_FULL'
  | 'INVALID_RESPONSE'
  | 'REGISTRATION_FAILED'
  | 'LEASE_REVOKED'
  | 'CONFIG_UNAVAILABLE'
  | 'CONFIG_DOCUMENT_INVALID'
  | 'CONFIG_VALUE_INVALID'
  | 'CONFIG_VALUE_MISSING'
  | 'CONFIG_CONFLICT'
  | 'SHUTDOWN_HOOKS_CONFLICT'
  | 'TIMEOUT'
  | 'ABORTED';

/** One try of a call or of a registry request, and how it ended. */
export interface Attempt {
  /** What was tried: `http://10.0.0.5:8080`, never with credentials. */
  readonly target: string;
  /** The error's message. */
  readonly reason: string;
  /** The error's code (`ECONNREFUSED` …) when it has one. */
  readonly code?: string;
}

/** The facts that an error carries besides its message. */
export interface DiscoveryErrorDetails {
  readonly cause?: unknown;
  /** The option, key or record field at fault. */
  readonly field?: string;
  readonly service?: string;
  readonly backend?: string;
  readonly attempts?: readonly Attempt[];
}

/**
 * What every error of this library is; tell errors apart by `code`. Subclasses exist where a caller needs more: another
 * field of the product's, or a class to catch.
 */
export class DiscoveryError extends Error {
  // Written out, here and in every class below: bundlers shorten the classes' own names.
  override name = 'DiscoveryError';
  readonly code: DiscoveryErrorCode;
  // Declared only: a field that wasn't given is no property, and doesn't show where errors are printed.
  declare readonly field?: string;
  declare readonly service?: string;
  declare readonly backend?: string;
  declare readonly attempts?: readonly Attempt[];

  constructor(code: DiscoveryErrorCode, message: string, details: DiscoveryErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    if (details.field !== undefined) this.field = details.field;
    if (details.service !== undefined) this.service = details.service;
    if (details.backend !== undefined) this.backend = details.backend;
    if (details.attempts !== undefined) this.attempts = details.attempts;
  }
}

/** The registry was asked, and the service has no instance that may be called (`NO_INSTANCE`). */
export class NoInstanceError extends DiscoveryError {
  override name = 'NoInstanceError';
  constructor(service: string, message: string, details: DiscoveryErrorDetails = {}) {
    super('NO_INSTANCE', message, { ...details, service });
  }
}

/** No registry could say yet which instances the service has (`NO_SNAPSHOT`). */
export class NoSnapshotError extends DiscoveryError {
  override name = 'NoSnapshotError';
  constructor(service: string, message: string, details: DiscoveryErrorDetails = {}) {
    super('NO_SNAPSHOT', message, { ...details, service });
  }
}

/** The text of anything that was thrown; never empty for an error. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) {
    if (error.message !== '') return error.message;
    // A connection refused at every address of a host: Node says it in the errors inside.
    const inside: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
    return inside instanceof Error && inside.message !== '' ? inside.message : (codeOf(error) ?? error.name);
  }
  try {
    return String(error);
  } catch {
    return `a ${typeof error}`;
  }
}

/** The `code` of anything that was thrown, when it has one. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/**
 * `error` itself when it is ours already, else ours around it.
 *
 * @param prefix what could not be done; undefined where whoever shows the error says that
 */
export function toDiscoveryError(
  error: unknown,
  code: DiscoveryErrorCode,
  prefix: string | undefined,
  details: DiscoveryErrorDetails = {},
): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  const why = messageOf(error);
  return new DiscoveryError(code, prefix === undefined ? why : `${prefix}: ${why}`, { cause: error, ...details });
}
