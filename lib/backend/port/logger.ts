/** Where a backend writes; Nest's `Logger` fits. Implementations must not block. */
export interface Logger {
  error(message: string): void;
  warn(message: string): void;
  log(message: string): void;
  debug(message: string): void;
}
