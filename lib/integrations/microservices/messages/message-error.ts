/** Errors of a call by message, with the codes by which all calls are judged. */

/** No connection, or none any more: the message was surely not sent. */
export function unsent(message: string, cause?: unknown): Error {
  const code = codeOfCause(cause) ?? 'ECONNREFUSED';
  return Object.assign(new Error(message, { cause }), { code, syscall: 'connect' });
}

/** The connection broke while the answer was awaited. */
export function broken(message: string, cause: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code: 'ECONNRESET' });
}

/** No answer in time. */
export function timedOut(message: string): Error {
  const error = Object.assign(new Error(message), { code: 'ETIMEDOUT' });
  error.name = 'TimeoutError';
  return error;
}

/** The caller has given up. */
export function givenUp(): Error {
  const error = Object.assign(new Error('the call was given up'), { code: 'ERR_CANCELED' });
  error.name = 'AbortError';
  return error;
}

/** Of a system call that was made to get a connection, its own code says more. */
function codeOfCause(cause: unknown): string | undefined {
  const code: unknown = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}
