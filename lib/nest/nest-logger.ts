import { Logger as NestLogger } from '@nestjs/common';
import { singleLine, type Logger } from '../backend/index.js';

/** Writes to Nest's logger, whichever the app has set, each message on one line. */
export function nestLogger(context: string): Logger {
  const logger = new NestLogger(context);
  return singleLine({
    error: (message) => logger.error(message),
    warn: (message) => logger.warn(message),
    log: (message) => logger.log(message),
    debug: (message) => logger.debug(message),
  });
}
