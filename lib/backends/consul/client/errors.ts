import { DiscoveryError, type DiscoveryErrorCode } from '../../../model/index.js';

/**
 * What went wrong, as a caller tells it apart:
 *
 * - `request`: 400, 405, 413 and other refusals of the request itself: trying again changes nothing;
 * - `unauthorized`: 401, 403: the token may not, is missing or unknown;
 * - `acl-disabled`: 401 with "ACL support disabled": the servers run without ACLs;
 * - `not-found`: 404: there is no such thing;
 * - `conflict`: 409: another change came first;
 * - `transaction`: 409: nothing of a transaction is in force, and `errors` has what was wrong, by operation;
 * - `gone`: 410: this version has it no more;
 * - `rate-limit`: 429, or 503 of a leader that limits its rate: ask again later, elsewhere if there is an elsewhere;
 * - `server`: 5xx: no leader, an unknown datacentre, a failed call between servers;
 * - `unavailable`: no answer: refused, cut off, too slow, or nothing that is HTTP;
 * - `protocol`: an answer that isn't what Consul's would be.
 */
export type ConsulErrorKind = keyof typeof CODES;

const CODES = {
  request: 'BACKEND_REFUSED',
  unauthorized: 'BACKEND_REFUSED',
  'acl-disabled': 'UNSUPPORTED',
  'not-found': 'BACKEND_REFUSED',
  conflict: 'BACKEND_REFUSED',
  transaction: 'BACKEND_REFUSED',
  gone: 'UNSUPPORTED',
  'rate-limit': 'BACKEND_UNAVAILABLE',
  server: 'BACKEND_UNAVAILABLE',
  unavailable: 'BACKEND_UNAVAILABLE',
  protocol: 'BACKEND_UNAVAILABLE',
} as const satisfies Readonly<Record<string, DiscoveryErrorCode>>;

/** What a {@link ConsulError} knows besides its message. */
export interface ConsulErrorDetails {
  /** Status of the answer; absent when there was none. */
  readonly status?: number;
  /** `PUT /v1/kv/a`: never with a query, which may hold data. */
  readonly operation: string;
  /** What Consul said, shortened. */
  readonly answer?: string;
  /** What was wrong with a transaction, by operation. */
  readonly errors?: readonly TransactionFailure[];
  readonly cause?: unknown;
}

/** One operation of a transaction that could not be done. */
export interface TransactionFailure {
  /** Its place in the transaction, from 0. */
  readonly OpIndex: number;
  readonly What: string;
}

/** A request that failed; `kind` tells what a caller treats differently. */
export class ConsulError extends DiscoveryError {
  override name = 'ConsulError';
  declare readonly status?: number;
  readonly operation: string;
  /** What Consul said. */
  readonly answer: string;
  /** What was wrong with a transaction, by operation; empty for other kinds. */
  readonly errors: readonly TransactionFailure[];

  constructor(
    readonly kind: ConsulErrorKind,
    message: string,
    details: ConsulErrorDetails,
  ) {
    super(CODES[kind], message, { backend: 'consul', ...('cause' in details ? { cause: details.cause } : {}) });
    if (details.status !== undefined) this.status = details.status;
    this.operation = details.operation;
    this.answer = details.answer ?? '';
    this.errors = details.errors ?? [];
  }
}

/** True for a {@link ConsulError} of one of these kinds. */
export function isConsulError(error: unknown, ...kinds: readonly ConsulErrorKind[]): error is ConsulError {
  return error instanceof ConsulError && kinds.includes(error.kind);
}

/** The error that an answer stands for. `text` is its body. */
export function errorOf(status: number, operation: string, text: string): ConsulError {
  const answer = shorten(text);
  const message = `Consul answered ${status} to ${operation}${answer === '' ? '' : `: ${answer}`}`;
  const details = { status, operation, answer };
  if (status === 401 && /ACL support disabled/i.test(text)) {
    return new ConsulError('acl-disabled', `${message}; the servers run without ACLs`, details);
  }
  if (status === 401 || status === 403) return new ConsulError('unauthorized', message, details);
  if (status === 404) return new ConsulError('not-found', message, details);
  if (status === 409) return conflict(message, details, text);
  if (status === 410) return new ConsulError('gone', `${message}; this version has it no more`, details);
  if (status === 429 || (status === 503 && /rate limit/i.test(text))) {
    return new ConsulError('rate-limit', message, details);
  }
  if (status >= 500) return new ConsulError('server', message, details);
  if (status < 400) return new ConsulError('protocol', `${message}; redirects are not followed`, details);
  return new ConsulError('request', message, details);
}

function conflict(message: string, details: ConsulErrorDetails, text: string): ConsulError {
  try {
    const body = JSON.parse(text) as unknown;
    const found = typeof body === 'object' && body !== null && 'Errors' in body ? body.Errors : undefined;
    if (Array.isArray(found)) {
      const errors = found.filter(isFailure);
      const told = errors.map(({ OpIndex, What }) => `operation ${OpIndex}: ${What}`).join('; ');
      return new ConsulError('transaction', `the transaction was rolled back: ${shorten(told)}`, {
        ...details,
        errors,
      });
    }
  } catch {
    // Text, as of every other conflict.
  }
  return new ConsulError('conflict', message, details);
}

function isFailure(value: unknown): value is TransactionFailure {
  return (
    typeof value === 'object' &&
    value !== null &&
    'OpIndex' in value &&
    typeof value.OpIndex === 'number' &&
    'What' in value &&
    typeof value.What === 'string'
  );
}

/** One line, without what could forge another one in a log. */
function shorten(text: string): string {
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}
