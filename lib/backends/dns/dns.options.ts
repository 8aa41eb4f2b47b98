import {
  checked,
  listOf,
  milliseconds,
  nameServer,
  oneOf,
  port,
  satisfying,
  text,
  type Resolved,
} from '../../backend/index.js';
import { assertName, DiscoveryError } from '../../model/index.js';

/** Options of {@link dns}. */
export interface DnsOptions {
  /** Unique within an app. @default 'dns' */
  readonly name?: string;
  /**
   * Where a service's records are: a whole name, in which `{service}` stands for the service's name, such as
   * `{service}.service.consul` or `_{service}._tcp.example.org`. No search domain is put behind it.
   * @default '{service}': services are called by their whole names
   */
  readonly pattern?: string;
  /**
   * What is asked for. `SRV` gives hosts, ports and weights; `A` (IPv4) and `AAAA` (IPv6) give addresses, and need `port`.
   * @default 'SRV'
   */
  readonly record?: 'SRV' | 'A' | 'AAAA';
  /** Port of every instance, from 1 to 65535; required with `A` and `AAAA`, refused with `SRV`, whose records say it. */
  readonly port?: number;
  /** Scheme of the instances' URLs, in lower case. @default 'http' */
  readonly scheme?: string;
  /** Name servers as IP addresses with or without a port (53), such as `127.0.0.1:8600`. @default [], the system's */
  readonly servers?: readonly string[];
  /**
   * How often the records are asked for, in milliseconds, shortened by chance by up to a tenth. An address is asked for
   * again no sooner than its TTL is over.
   * @default 10000
   */
  readonly refreshMs?: number;
  /** A reading (the records, and the addresses of their targets) that takes longer has failed, in milliseconds. @default 5000 */
  readonly timeoutMs?: number;
}

/** Options after defaults and checks. */
export type DnsSettings = Resolved<DnsOptions, typeof DEFAULTS>;

const CHECKS = {
  name: text,
  pattern: satisfying(
    "a DNS name with '{service}' in it, such as '{service}.service.consul'",
    (value) =>
      typeof value === 'string' && value.includes('{service}') && DNS_NAME.test(value.replaceAll('{service}', 'x')),
  ),
  record: oneOf('SRV', 'A', 'AAAA'),
  port,
  scheme: satisfying("a URL scheme in lower case, such as 'http'", (value) => SCHEME.test(String(value))),
  servers: listOf(nameServer),
  refreshMs: milliseconds(50),
  timeoutMs: milliseconds(50),
};

const DEFAULTS = {
  name: 'dns',
  pattern: '{service}',
  record: 'SRV',
  scheme: 'http',
  servers: [],
  refreshMs: 10_000,
  timeoutMs: 5000,
} satisfies DnsOptions;

/** What DNS can have as a name. */
export const DNS_NAME = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.(?!$)|\.?$))+$/i;
const SCHEME = /^[a-z][a-z0-9+.-]{0,31}$/;

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveDnsOptions(options: DnsOptions): DnsSettings {
  const settings = checked('dns()', options, CHECKS, DEFAULTS);
  assertName(settings.name, 'name');
  const { record, port: given } = settings;
  if ((record === 'SRV') === (given === undefined)) return settings;
  const problem = record === 'SRV' ? 'is for A and AAAA: SRV records say it' : `is required with ${record}`;
  throw new DiscoveryError('INVALID_OPTION', `dns(): port ${problem}`, { field: 'port' });
}
