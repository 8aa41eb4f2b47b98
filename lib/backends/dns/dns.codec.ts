import type { SrvRecord } from 'node:dns';
import { createServiceInstance, describe, DiscoveryError } from '../../model/index.js';
import { DNS_NAME, type DnsSettings } from './dns.options.js';

/** Where instances are: a name that has addresses, a port, and a share of the traffic. */
export type Target = Pick<SrvRecord, 'name' | 'port' | 'weight'>;

/** The addresses of a name until their TTL is over; with an error, those of before. */
export interface Addresses {
  readonly list: readonly string[];
  readonly until: number;
  readonly error?: unknown;
}

/** Share of a record of weight 0 beside others: "a very small chance", says RFC 2782. */
const SMALL_WEIGHT = 0.01;

/** The name that a service's records have. @throws DiscoveryError `INVALID_NAME` when DNS can't have it */
export function recordName(pattern: string, service: string): string {
  const name = pattern.replaceAll('{service}', () => service);
  if (DNS_NAME.test(name)) return name;
  throw new DiscoveryError('INVALID_NAME', `${describe(name)} is no name of DNS`, { field: 'pattern', service });
}

/** The targets of the lowest priority, which is the best; the others stand by. */
export function targetsOf(records: readonly SrvRecord[]): readonly Target[] {
  // The root as the target says that there is no such service.
  const offered = records.filter(({ name }) => name !== '' && name !== '.');
  const best = offered.reduce((least, { priority }) => Math.min(least, priority), Infinity);
  const group = offered.filter(({ priority }) => priority === best);
  const small = group.some(({ weight }) => weight > 0) ? SMALL_WEIGHT : 1;
  return group.map((record) => ({ ...record, weight: record.weight === 0 ? small : record.weight }));
}

/** An instance at each address of a target. @throws DiscoveryError `INVALID_INSTANCE`, naming the field */
export function toInstances(service: string, target: Target, found: Addresses | undefined, settings: DnsSettings) {
  const { name: backend, scheme, record } = settings;
  const { name, port, weight } = target;
  const { list, error: cause } = found ?? { list: [], error: undefined };
  if (list.length === 0 && record === 'SRV')
    throw new DiscoveryError('INVALID_INSTANCE', 'its target has no address', { field: 'name', cause });
  const metadata = record === 'SRV' ? { target: name } : {};
  return list.map((host) => createServiceInstance({ service, host, port, scheme, metadata, weight, backend }));
}
