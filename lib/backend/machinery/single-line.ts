import { printable } from '../../model/index.js';
import type { Logger } from '../port/logger.js';

/**
 * A logger for which each message is one line: names, ids and texts come from outside, and what they hold (a newline, an
 * escape sequence) must not begin a line of its own or colour the terminal. Every logger that is handed in goes through
 * this where it comes in, so that nobody has to think of it where a message is written.
 */
export function singleLine(logger: Logger): Logger {
  return {
    error: (message) => logger.error(printable(message)),
    warn: (message) => logger.warn(printable(message)),
    log: (message) => logger.log(printable(message)),
    debug: (message) => logger.debug(printable(message)),
  };
}
