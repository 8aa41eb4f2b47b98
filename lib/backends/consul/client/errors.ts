import { DiscoveryError, type DiscoveryErrorCode } from '../../../model/index.js';

/** What a {@link ConsulError} knows besides its message. */
export interface ConsulErrorDetails {
  /** Status of the answer; absent when there was none. */
  readonly status?: number;
  /** `PUT /v1/kv/a`: never with a query, which may hold data. */
  readonly operation: string;
  /** What Consul said, shortened. */
  readonly answer?: string;
  readonly cause?: unknown;
}

/** A request that failed. The subclasses tell apart what a caller treats differently. */
export class ConsulError extends DiscoveryError {
  declare readonly status?: number;
  readonly operation: string;
  /** What Consul said. */
  readonly answer: string;

  constructor(code: DiscoveryErrorCode, message: string, details: ConsulErrorDetails) {
    super(code, message, { backend: 'consul', ...('cause' in details ? { cause: details.cause } : {}) });
    if (details.status !== undefined) this.status = details.status;
    this.operation = details.operation;
    this.answer = details.answer ?? '';
  }
}

/** 400, 405, 413 and other refusals of the request itself: trying again changes nothing. */
export class ConsulRequestError extends ConsulError {}

/** 401, 403: the token may not, is missing or unknown. */
export class ConsulUnauthorizedError extends ConsulError {}

/** 401 with "ACL support disabled": the servers run without ACLs. */
export class ConsulAclDisabledError extends ConsulError {}

/** 404: there is no such thing. */
export class ConsulNotFoundError extends ConsulError {}

/** 409: another change came first. */
export class ConsulConflictError extends ConsulError {}

/** One operation of a transaction that could not be done. */
export interface TransactionFailure {
  /** Its place in the transaction, from 0. */
  readonly OpIndex: number;
  readonly What: string;
}

/** A transaction was not done: nothing of it is in force. */
export class ConsulTransactionError extends ConsulConflictError {
  constructor(
    message: string,
    details: ConsulErrorDetails,
    /** What was wrong, by operation. */
    readonly errors: readonly TransactionFailure[],
  ) {
    super('BACKEND_REFUSED', message, details);
  }
}

/** 429, or 503 of a leader that limits its rate: ask again later, elsewhere if there is an elsewhere. */
export class ConsulRateLimitError extends ConsulError {}

/** 5xx: no leader, an unknown datacentre, a failed call between servers. */
export class ConsulServerError extends ConsulError {}

/** No answer: refused, cut off, too slow, or nothing that is HTTP. */
export class ConsulUnavailableError extends ConsulError {}

/** An answer that isn't what Consul's would be. */
export class ConsulProtocolError extends ConsulError {}

const REFUSED: DiscoveryErrorCode = 'BACKEND_REFUSED';
const UNAVAILABLE: DiscoveryErrorCode = 'BACKEND_UNAVAILABLE';

/** The error that an answer stands for. `text` is its body. */
export function errorOf(status: number, operation: string, text: string): ConsulError {
  const answer = shorten(text);
  const message = `Consul answered ${status} to ${operation}${answer === '' ? '' : `: ${answer}`}`;
  const details = { status, operation, answer };
  if (status === 401 && /ACL support disabled/i.test(text)) {
    return new ConsulAclDisabledError('UNSUPPORTED', `${message}; the servers run without ACLs`, details);
  }
  if (status === 401 || status === 403) return new ConsulUnauthorizedError(REFUSED, message, details);
  if (status === 404) return new ConsulNotFoundError(REFUSED, message, details);
  if (status === 409) return conflict(message, details, text);
  if (status === 410) return new ConsulError('UNSUPPORTED', `${message}; this version has it no more`, details);
  if (status === 429 || (status === 503 && /rate limit/i.test(text))) {
    return new ConsulRateLimitError(UNAVAILABLE, message, details);
  }
  if (status >= 500) return new ConsulServerError(UNAVAILABLE, message, details);
  if (status < 400) return new ConsulProtocolError(UNAVAILABLE, `${message}; redirects are not followed`, details);
  return new ConsulRequestError(REFUSED, message, details);
}

function conflict(message: string, details: ConsulErrorDetails, text: string): ConsulError {
  try {
    const body = JSON.parse(text) as unknown;
    const errors = typeof body === 'object' && body !== null && 'Errors' in body ? body.Errors : undefined;
    if (Array.isArray(errors)) {
      const failures = errors.filter(isFailure);
      const told = failures.map(({ OpIndex, What }) => `operation ${OpIndex}: ${What}`).join('; ');
      return new ConsulTransactionError(`the transaction was rolled back: ${shorten(told)}`, details, failures);
    }
  } catch {
    // Text, as of every other conflict.
  }
  return new ConsulConflictError(REFUSED, message, details);
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
