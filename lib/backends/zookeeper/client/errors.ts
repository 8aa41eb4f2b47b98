import { DiscoveryError, type DiscoveryErrorCode } from '../../../model/index.js';

/**
 * ZooKeeper's own error codes (`org.apache.zookeeper.KeeperException.Code`), by name.
 */
const NAMES: ReadonlyMap<number, string> = new Map([
  [-1, 'SYSTEM_ERROR'],
  [-2, 'RUNTIME_INCONSISTENCY'],
  [-3, 'DATA_INCONSISTENCY'],
  [-4, 'CONNECTION_LOSS'],
  [-5, 'MARSHALLING_ERROR'],
  [-6, 'UNIMPLEMENTED'],
  [-7, 'OPERATION_TIMEOUT'],
  [-8, 'BAD_ARGUMENTS'],
  [-100, 'API_ERROR'],
  [-101, 'NO_NODE'],
  [-102, 'NO_AUTH'],
  [-103, 'BAD_VERSION'],
  [-108, 'NO_CHILDREN_FOR_EPHEMERALS'],
  [-110, 'NODE_EXISTS'],
  [-111, 'NOT_EMPTY'],
  [-112, 'SESSION_EXPIRED'],
  [-113, 'INVALID_CALLBACK'],
  [-114, 'INVALID_ACL'],
  [-115, 'AUTH_FAILED'],
  [-118, 'SESSION_MOVED'],
  [-119, 'NOT_READONLY'],
  [-125, 'QUOTA_EXCEEDED'],
  [-127, 'THROTTLED'],
]);

/** Answers after which the same question may well succeed a little later. */
const PASSING: ReadonlySet<string> = new Set([
  'CONNECTION_LOSS',
  'OPERATION_TIMEOUT',
  'SESSION_EXPIRED',
  'SESSION_MOVED',
  'NOT_READONLY',
  'THROTTLED',
]);

/** What ZooKeeper answered, or that the connection broke before it could. */
export class ZooKeeperError extends DiscoveryError {
  override name = 'ZooKeeperError';
  /** ZooKeeper's name of it: `NO_AUTH`, `NODE_EXISTS`, `CONNECTION_LOSS` … */
  readonly failure: string;

  constructor(failure: string, message: string, details: { readonly backend?: string; readonly cause?: unknown } = {}) {
    super(codeFor(failure), message, details);
    this.failure = failure;
  }
}

/** ZooKeeper's name of an error code. */
export function failureName(code: number): string {
  return NAMES.get(code) ?? `ERROR_${code}`;
}

/** Codes that node-zookeeper-client knows; it throws at every other one. */
export function isCommonCode(code: number): boolean {
  return code >= -115 && NAMES.has(code);
}

/** True when `error` is ZooKeeper's `failure`. */
export function isFailure(error: unknown, ...failures: readonly string[]): boolean {
  return error instanceof ZooKeeperError && failures.includes(error.failure);
}

function codeFor(failure: string): DiscoveryErrorCode {
  return PASSING.has(failure) ? 'BACKEND_UNAVAILABLE' : 'BACKEND_REFUSED';
}
