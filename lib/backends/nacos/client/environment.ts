import {
  silentLogger,
  systemClock,
  withLevel,
  type Clock,
  type Logger,
  type LogLevel,
  type TlsOptions,
} from '../../../backend/index.js';
import type { DiscoveryEvent } from '../../../model/index.js';

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

/** The environment of a client that no app lends one to. */
export function standaloneEnvironment(logger: Logger | undefined, level: LogLevel | undefined): Environment {
  const leveled = withLevel(logger ?? silentLogger, level ?? 'log');
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

/** Says that certificates are not looked at, where that was asked for. */
export function warnOfTrust({ logger, backend }: Environment, tls: TlsOptions | undefined): void {
  if (tls?.rejectUnauthorized !== false) return;
  logger.warn(`${backend}: certificates of servers are not verified (tls.rejectUnauthorized: false)`);
}
