import { silentLogger, systemClock, type Clock, type Logger } from '../../../backend/index.js';
import type { DiscoveryEvent } from '../../../model/index.js';

/** How much a client writes to its logger. */
export type NacosLogLevel = 'debug' | 'info' | 'warn' | 'error' | 'off';

/** What everything in a client shares. */
export interface Environment {
  /** Name of the backend, for messages. */
  readonly backend: string;
  readonly clock: Clock;
  readonly logger: Logger;
  random(): number;
  /** Never throws. */
  report(event: DiscoveryEvent): void;
}

const LEVELS: readonly NacosLogLevel[] = ['debug', 'info', 'warn', 'error', 'off'];

/** The environment of a client that no app lends one to. */
export function standaloneEnvironment(logger: Logger | undefined, level: NacosLogLevel | undefined): Environment {
  const leveled = withLevel(logger ?? silentLogger, level ?? 'info');
  return {
    backend: 'nacos',
    clock: systemClock,
    logger: leveled,
    random: Math.random,
    report: (event) => {
      if (event.type === 'listener.failed') leveled.error(`${event.where}: a listener threw ${String(event.error)}`);
      else if (event.type === 'record.skipped') leveled.warn(`${event.record} was skipped: ${event.error.message}`);
    },
  };
}

/** A logger that leaves out what is below `level`. */
export function withLevel(logger: Logger, level: NacosLogLevel): Logger {
  const from = LEVELS.indexOf(level);
  const nothing = (): void => {};
  return {
    debug: from <= 0 ? (message) => logger.debug(message) : nothing,
    log: from <= 1 ? (message) => logger.log(message) : nothing,
    warn: from <= 2 ? (message) => logger.warn(message) : nothing,
    error: from <= 3 ? (message) => logger.error(message) : nothing,
  };
}
