import type { Logger } from '../port/logger.js';
import { singleLine } from './single-line.js';

/** From which severity on something writes to its logger; the words are Nest's. */
export type LogLevel = 'debug' | 'log' | 'warn' | 'error' | 'silent';

/** The levels, each with everything after it but `silent`, which writes nothing. */
export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'log', 'warn', 'error', 'silent'];

/** Whether what is of this severity is written at `level`. */
export function isWritten(severity: Exclude<LogLevel, 'silent'>, level: LogLevel): boolean {
  return LOG_LEVELS.indexOf(severity) >= LOG_LEVELS.indexOf(level);
}

/** A logger that leaves out what is below `level`, and writes each message on one line. */
export function withLevel(given: Logger, level: LogLevel): Logger {
  const logger = singleLine(given);
  const at = (severity: Exclude<LogLevel, 'silent'>): ((message: string) => void) =>
    isWritten(severity, level) ? (message) => logger[severity](message) : () => {};
  return { debug: at('debug'), log: at('log'), warn: at('warn'), error: at('error') };
}
