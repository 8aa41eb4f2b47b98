import { DiscoveryError, messageOf, type DiscoveryErrorDetails } from '../../../model/index.js';

/** The domain of discovered addresses. */
const DOMAIN = 'asab';

/**
 * A discovered address leads nowhere: its name is malformed (`INVALID_NAME`), nothing is advertised under it
 * (`NO_INSTANCE`), none of the hosts found can be resolved (`NO_INSTANCE`), or ZooKeeper could not be asked yet
 * (`NO_SNAPSHOT`).
 */
export class NotDiscoveredError extends DiscoveryError {
  override name = 'NotDiscoveredError';
  constructor(
    code: 'INVALID_NAME' | 'NO_INSTANCE' | 'NO_SNAPSHOT',
    message: string,
    details: DiscoveryErrorDetails = {},
  ) {
    super(code, message, details);
  }
}

/** What a discovered address asks for. */
export interface AsabName {
  /** Id type: `service_id`, `instance_id` … */
  readonly key: string;
  readonly value: string;
}

/** True for a host in the domain `asab`. */
export function isAsabHost(host: string): boolean {
  if (!host.endsWith(DOMAIN) && !/asab\.?$/i.test(host)) return false;
  const labels = host.toLowerCase().replace(/\.$/, '').split('.');
  return labels.at(-1) === DOMAIN;
}

/**
 * Takes `<value>.<key>.asab` apart, from the right: the value may hold dots.
 *
 * @throws NotDiscoveredError saying what a right one looks like
 */
export function parseAsabHost(host: string): AsabName {
  const labels = host.replace(/\.$/, '').split('.');
  const key = labels.at(-2);
  const value = labels.slice(0, -2).join('.');
  if (labels.length < 3 || key === undefined || key === '' || value === '') {
    throw new NotDiscoveredError(
      'INVALID_NAME',
      `'${host.slice(0, 253)}' is no discovered address: it must look like my-app.service_id.asab or my-app-1.instance_id.asab`,
      { field: 'host' },
    );
  }
  return { key, value };
}

/** The error for an address under which nothing is advertised. */
export function nothingFound(host: string, cause?: unknown): NotDiscoveredError {
  return new NotDiscoveredError('NO_INSTANCE', `nothing is advertised as '${host}' that could be called`, {
    service: host,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The error while nobody could say what is advertised. */
export function notKnownYet(host: string, cause?: unknown): NotDiscoveredError {
  const reason = cause === undefined ? 'the records were not read in time' : messageOf(cause);
  return new NotDiscoveredError('NO_SNAPSHOT', `what is advertised as '${host}' isn't known yet: ${reason}`, {
    service: host,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The error when hosts were found and none of them is known to the name servers. */
export function nothingResolved(host: string, tried: readonly string[]): NotDiscoveredError {
  return new NotDiscoveredError(
    'NO_INSTANCE',
    `none of the hosts that '${host}' stands for can be resolved: ${[...new Set(tried)].join(', ')}`,
    { service: host },
  );
}
