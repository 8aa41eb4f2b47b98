/** Where a backend writes; Nest's `Logger` fits. Implementations must not block. */
export interface Logger {
  error(message: string): void;
  warn(message: string): void;
  log(message: string): void;
  debug(message: string): void;
}

/** Writes nothing. */
export const silentLogger: Logger = { error() {}, warn() {}, log() {}, debug() {} };

/** A URL without user, password, query and fragment, fit for logs and error messages. */
export function withoutSecrets(url: string): string {
  return url.replace(/\/\/[^/@\s]*@/, '//').replace(/[?#].*$/, '');
}
