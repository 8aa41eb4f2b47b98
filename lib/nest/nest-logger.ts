import { Logger as NestLogger } from '@nestjs/common';
import type { Logger } from '../backend/index.js';

/** Writes to Nest's logger, whichever the app has set. */
export function nestLogger(context: string): Logger {
  const logger = new NestLogger(context);
  return {
    error: (message) => logger.error(message),
    warn: (message) => logger.warn(message),
    log: (message) => logger.log(message),
    debug: (message) => logger.debug(message),
  };
}
