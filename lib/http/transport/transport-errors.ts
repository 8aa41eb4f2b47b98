import { AxiosError, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { codeOf } from '../../model/index.js';
import { tooLargeMessage } from './content-limit.js';
import type { SentRequest } from './sent-request.js';

/** undici's codes, in those that Node's own client and with it axios use. */
const CODES: Readonly<Record<string, string>> = {
  UND_ERR_SOCKET: 'ECONNRESET',
  UND_ERR_DESTROYED: 'ECONNRESET',
  UND_ERR_CLOSED: 'ECONNRESET',
  UND_ERR_INFO: 'ECONNRESET',
  UND_ERR_ABORTED: 'ECONNRESET',
  UND_ERR_CONNECT_TIMEOUT: 'ETIMEDOUT',
  UND_ERR_HEADERS_OVERFLOW: 'HPE_HEADER_OVERFLOW',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'HPE_UNEXPECTED_CONTENT_LENGTH',
  UND_ERR_INVALID_ARG: AxiosError.ERR_BAD_REQUEST,
  UND_ERR_NOT_SUPPORTED: AxiosError.ERR_BAD_REQUEST,
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: AxiosError.ERR_BAD_REQUEST,
};

/** What the parser says of an answer that isn't HTTP, and Node's code for it, which undici 7 leaves out. */
const PARSER_CODES: readonly (readonly [reason: RegExp, code: string])[] = [
  [/content-length/i, 'HPE_INVALID_CONTENT_LENGTH'],
  [/transfer-encoding/i, 'HPE_INVALID_TRANSFER_ENCODING'],
  [/chunk/i, 'HPE_INVALID_CHUNK_SIZE'],
  [/status/i, 'HPE_INVALID_STATUS'],
  [/version/i, 'HPE_INVALID_VERSION'],
  [/header/i, 'HPE_INVALID_HEADER_TOKEN'],
];

/** Any other answer that isn't HTTP. */
const NOT_HTTP = 'HPE_INVALID_CONSTANT';

function codeFor(error: Error): string {
  const code = codeOf(error);
  if (code !== undefined) return CODES[code] ?? code;
  if (error.name !== 'HTTPParserError') return AxiosError.ERR_NETWORK;
  return PARSER_CODES.find(([reason]) => reason.test(error.message))?.[1] ?? NOT_HTTP;
}

/**
 * A failed request as axios tells it: the code of Node's client, what failed below as the cause. A connection that
 * wasn't made in time has `syscall: 'connect'` in its cause, as one that the operating system gave up.
 */
export function toAxiosError(
  error: Error,
  config: InternalAxiosRequestConfig,
  request: SentRequest | undefined,
  response?: AxiosResponse,
): AxiosError {
  if (error instanceof AxiosError) {
    error.request ??= request;
    return error;
  }
  const told = inNodesWords(error, response !== undefined);
  const result = AxiosError.from(told, codeFor(told), config, request, response);
  // Node's client has no classes for them.
  if (isUndiciError(error)) result.name = 'Error';
  return result;
}

/** The connection couldn't be secured. Node's client tells so as a failed write, whatever OpenSSL calls it. */
export function isTlsFailure(error: Error): boolean {
  return codeOf(error)?.startsWith('ERR_SSL_') === true;
}

/** A failed handshake, as Node's client tells it. */
export function handshakeFailed(error: Error): Error {
  return nodeError(`write EPROTO ${error.message}`, error, { code: 'EPROTO', syscall: 'write' });
}

function isUndiciError(error: Error): boolean {
  return error.name === 'HTTPParserError' || codeOf(error)?.startsWith('UND_ERR') === true;
}

/** Whether an answer's body ended too early without a failure of the socket, which axios tells apart. */
export function endsQuietly(error: Error): boolean {
  return isUndiciError(error) && error.name !== 'HTTPParserError';
}

/** The socket is gone without an error of its own. */
const GONE = new Set(['UND_ERR_SOCKET', 'UND_ERR_DESTROYED', 'UND_ERR_CLOSED']);

/** What undici words differently: retries and alarms go by what Node's client, and with it axios, says. */
function inNodesWords(error: Error, wasAnswered: boolean): Error {
  const code = codeOf(error) ?? '';
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return nodeError(error.message, error, { code: 'ETIMEDOUT', syscall: 'connect' });
  }
  if (GONE.has(code)) return nodeError(wasAnswered ? 'aborted' : 'socket hang up', error, { code: 'ECONNRESET' });
  return error;
}

function nodeError(
  message: string,
  cause: Error,
  details: { readonly code: string; readonly syscall?: string },
): Error {
  return Object.assign(new Error(message, { cause }), details);
}

/**
 * The answer broke off after its head, in the words and the code of axios: of one that it decodes it tells what the socket
 * said, of any other what it makes of it.
 */
export function brokenOff(
  error: Error,
  config: InternalAxiosRequestConfig,
  request: SentRequest,
  response: AxiosResponse,
  isEncoded: boolean,
): AxiosError {
  if (isEncoded) return toAxiosError(error, config, request, response);
  const broken = new AxiosError('stream has been aborted', AxiosError.ERR_BAD_RESPONSE, config, request, response);
  Object.defineProperty(broken, 'cause', { value: error, writable: true, enumerable: false, configurable: true });
  return broken;
}

/** The caller's time is over. */
export function timedOut(
  timeoutMs: number,
  config: InternalAxiosRequestConfig,
  request: SentRequest | undefined,
): AxiosError {
  const { timeoutErrorMessage, transitional } = config;
  return new AxiosError(
    timeoutErrorMessage === undefined || timeoutErrorMessage === ''
      ? `timeout of ${timeoutMs}ms exceeded`
      : timeoutErrorMessage,
    transitional?.clarifyTimeoutError === true ? AxiosError.ETIMEDOUT : AxiosError.ECONNABORTED,
    config,
    request,
  );
}

/** More bytes than the answer may have. */
export function tooLarge(config: InternalAxiosRequestConfig, request: SentRequest): AxiosError {
  return new AxiosError(tooLargeMessage(config), AxiosError.ERR_BAD_RESPONSE, config, request);
}

const unsent = new WeakSet<object>();

/** Notes that a failed request never got to a socket: it may be made elsewhere whatever its method is. */
export function markUnsent(error: Error): void {
  unsent.add(error);
}

/** Whether a failed request surely never got to a socket; false when that isn't known. */
export function isUnsent(error: unknown): boolean {
  return typeof error === 'object' && error !== null && unsent.has(error);
}
