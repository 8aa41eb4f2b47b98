/**
 * How far what failed on the network came:
 * - `unsent`: no address, no connection, no handshake: nothing of it has reached the other side;
 * - `broken`: the connection broke; it may have reached the other side;
 * - `timeout`: the time was up; so may it then;
 * - `unclear`: on the network, and no more is known.
 */
export type NetworkFailure = 'unsent' | 'broken' | 'timeout' | 'unclear';

/** The codes of Node, of TLS and of HTTP clients, the first that fits. */
const CODES: readonly (readonly [code: RegExp, failure: NetworkFailure])[] = [
  [/^(?:ENOTFOUND|EAI_[A-Z]+)$/, 'unsent'],
  [/^(?:ECONNREFUSED|EHOST[A-Z]+|ENET(?:UNREACH|DOWN)|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT)$/, 'unsent'],
  // The handshake: with a port that speaks no TLS, and with a certificate that isn't good.
  [/^(?:EPROTO|ERR_TLS_CERT_\w+|CERT_\w+|UNABLE_TO_(?:GET|VERIFY)_\w+)$/, 'unsent'],
  [/^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN)$/, 'unsent'],
  [/^(?:ECONNRESET|EPIPE|ERR_SOCKET_CLOSED|UND_ERR_SOCKET)$/, 'broken'],
  [/^(?:ECONNABORTED|ETIMEDOUT|UND_ERR_(?:HEADERS|BODY)_TIMEOUT)$/, 'timeout'],
  [/^(?:ECONN[A-Z]+|ENET[A-Z]+|ESOCKETTIMEDOUT|TIMEOUT|ERR_NETWORK)$/, 'unclear'],
  [/^(?:(?:ERR_SSL|ERR_TLS|ERR_HTTP2|HPE)_\w+|UND_ERR_(?!INVALID_ARG|ABORTED)\w+)$/, 'unclear'],
];

/** A code of the operating system's: an error of ours may have one of those as its cause, and mean something else. */
const SYSTEM_CODE = /^E[A-Z0-9]+$/;

/** System calls before anything is sent. */
const BEFORE_SENDING: ReadonlySet<unknown> = new Set(['connect', 'getaddrinfo']);

/**
 * What an error's code says of the network; undefined for the code of something else. It is all that decides whether a call,
 * or a write to a registry, may have come through.
 *
 * @param syscall the system call that failed, where it is known
 */
export function networkFailureOf(code: string | undefined, syscall?: unknown): NetworkFailure | undefined {
  if (code === undefined) return undefined;
  if (BEFORE_SENDING.has(syscall) && SYSTEM_CODE.test(code)) return 'unsent';
  // Without a system call it is a time-out of the caller's.
  if (code === 'ETIMEDOUT' && syscall !== undefined) return 'broken';
  return CODES.find(([pattern]) => pattern.test(code))?.[1];
}

/** The system call that failed, which clients keep in the error's cause. */
export function failedSystemCall(error: unknown): unknown {
  for (let at = error; typeof at === 'object' && at !== null; at = 'cause' in at ? at.cause : undefined) {
    if ('syscall' in at && at.syscall !== undefined) return at.syscall;
  }
  return undefined;
}
