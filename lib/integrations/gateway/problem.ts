import { STATUS_CODES, type ServerResponse } from 'node:http';
import { codeOf, DiscoveryError } from '../../model/index.js';

/** An answer of the gateway's own, as RFC 9457 writes it. */
export interface Problem {
  readonly status: number;
  /** One of our codes, or a word of the gateway's: `REQUEST_TOO_LARGE`, `BAD_PATH`, `UPSTREAM_FAILED` … */
  readonly code: string;
  readonly detail: string;
  readonly service?: string | undefined;
  /** Seconds after which the caller may come again. */
  readonly retryAfterSeconds?: number | undefined;
  /** Whether the connection can't be used again, since the request wasn't read to its end. */
  readonly closes?: boolean;
}

/** A request that the gateway itself refuses. */
export class RequestRefused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** What comes in, as its sender wrote it, is not to be read. */
export class RequestBroken extends Error {}

/** When a caller may come again after a 503, in seconds. */
const RETRY_AFTER_SECONDS = 5;

const NOBODY: ReadonlySet<string> = new Set(['NO_INSTANCE', 'NO_SNAPSHOT', 'BACKEND_UNAVAILABLE', 'BACKEND_CLOSED']);

/** Errors of a call whose time was over. */
const TIME_OUTS: ReadonlySet<string> = new Set(['TIMEOUT', 'ECONNABORTED', 'ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT']);

/**
 * What a failed call comes to for whoever asked: 503 when there is nobody to call, 504 when the time was over, else 502. Says
 * nothing of addresses and of what failed inside.
 */
export function problemOf(error: unknown, service: string): Problem {
  if (error instanceof RequestRefused) return error.problem;
  const code = codeOf(error) ?? '';
  if (NOBODY.has(code)) {
    const detail = code === 'NO_INSTANCE' ? 'the service has no instance' : 'the service is not known yet';
    return { status: 503, code, detail, service, retryAfterSeconds: RETRY_AFTER_SECONDS };
  }
  if (TIME_OUTS.has(code)) return { status: 504, code: 'TIMEOUT', detail: 'the service took too long', service };
  if (error instanceof DiscoveryError && error.code !== 'INVALID_INSTANCE') {
    return { status: 500, code, detail: 'the request could not be passed on', service };
  }
  return { status: 502, code: 'UPSTREAM_FAILED', detail: 'the service did not answer as it should', service };
}

/** Answers with a problem; closes the connection of an answer that has begun. */
export function answerProblem(response: ServerResponse, problem: Problem): void {
  const { status, code, detail, service, retryAfterSeconds, closes = false } = problem;
  if (response.headersSent) {
    // An ordinary end would look like a complete answer.
    response.destroy();
    return;
  }
  const title = STATUS_CODES[status] ?? 'Error';
  const body = Buffer.from(JSON.stringify({ type: 'about:blank', title, status, detail, code, service }));
  for (const name of ['content-encoding', 'content-range', 'etag', 'last-modified', 'trailer'])
    response.removeHeader(name);
  response.statusCode = status;
  response.setHeader('content-type', 'application/problem+json');
  response.setHeader('cache-control', 'no-store');
  response.setHeader('content-length', body.length);
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds));
  if (closes) response.setHeader('connection', 'close');
  response.end(body);
}
