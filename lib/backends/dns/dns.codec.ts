import type { SrvRecord } from 'node:dns';
import { createServiceInstance, describe, DiscoveryError, type ServiceInstance } from '../../model/index.js';
import { isRecordName, type DnsSettings } from './dns.options.js';

/** Where instances are: a name that has addresses, a port, and a share of the traffic. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly weight: number;
}

/** Share of a record of weight 0 beside others: "a very small chance", says RFC 2782. */
const SMALL_WEIGHT = 0.01;

/** The name that a service's records have. @throws DiscoveryError `INVALID_NAME` when DNS can't have it */
export function recordName(pattern: string, service: string): string {
  const name = pattern.replaceAll('{service}', () => service);
  if (isRecordName(name)) return name;
  throw new DiscoveryError('INVALID_NAME', `${describe(name)} is no name of DNS`, { field: 'pattern', service });
}

/** The targets of the lowest priority, which is the best; the others stand by. */
export function targetsOf(records: readonly SrvRecord[]): readonly Target[] {
  // The root as the target says that there is no such service.
  const offered = records.filter(({ name }) => name !== '' && name !== '.');
  const best = offered.reduce((least, { priority }) => Math.min(least, priority), Infinity);
  const group = offered.filter(({ priority }) => priority === best);
  const small = group.some(({ weight }) => weight > 0) ? SMALL_WEIGHT : 1;
  return group.map(({ name, port, weight }) => ({ host: name, port, weight: weight === 0 ? small : weight }));
}

/** An instance at one address of a target. @throws DiscoveryError `INVALID_INSTANCE`, naming the field */
export function toInstance(service: string, target: Target, address: string, settings: DnsSettings): ServiceInstance {
  const { name: backend, scheme, record } = settings;
  const metadata = record === 'SRV' ? { target: target.host } : {};
  return createServiceInstance({ ...target, service, host: address, scheme, metadata, backend });
}
