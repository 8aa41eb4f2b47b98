import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { hostname, networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import { DiscoveryError, describe } from '../../model/index.js';

/** How the address that others call is chosen. */
export interface AddressOptions {
  /** Registered as it is; wins over everything else. */
  readonly host?: string;
  /** The address behind the host, for registries that want both; chosen from the interfaces when left out. */
  readonly ip?: string;
  /** Only addresses in one of these networks, in CIDR notation: `192.168.10.0/24`, `fd00::/8`. */
  readonly networks?: readonly string[];
  /** Interfaces that don't count, by name; a trailing `*` stands for any end: `docker*`. */
  readonly ignoredInterfaces?: readonly string[];
  /** Addresses of which version of IP. @default that of the networks, 4 before 6; without networks 4 */
  readonly family?: 4 | 6;
  /** Register the machine's host name instead of the address. @default false */
  readonly preferHostname?: boolean;
}

/** The address that others are to call. */
export interface ChosenAddress {
  readonly host: string;
  readonly ip: string;
  /** True when the machine has no other address than its own loopback. */
  readonly loopback: boolean;
}

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/**
 * The first address of an interface that isn't the loopback, in the order in which the system lists them.
 *
 * @param network only addresses in this network, in CIDR notation: `192.168.10.0/24`
 * @returns undefined when there is none
 * @throws DiscoveryError `INVALID_OPTION` for a network that isn't in CIDR notation
 */
export function firstNonLoopbackIp(network?: string): string | undefined {
  return findAddress(network === undefined ? {} : { networks: [network] }, networkInterfaces());
}

/**
 * Chooses the address to register: the explicit one; else the one that the server is bound to, unless that is a
 * wildcard; else the first that isn't a loopback and fits the options; else the loopback. Asks no name server, so it
 * never blocks.
 *
 * @param boundTo the address that the server listens on, when it is known
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function chooseAddress(
  options: AddressOptions,
  boundTo?: string,
  interfaces: Interfaces = networkInterfaces(),
): ChosenAddress {
  const specific = boundTo !== undefined && !isWildcard(boundTo) ? boundTo : undefined;
  const found = specific ?? findAddress(options, interfaces);
  if (found === undefined && options.networks !== undefined && options.ip === undefined && options.host === undefined) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      `service.networks: no interface of this machine has an address in ${options.networks.join(', ')}`,
      { field: 'service.networks' },
    );
  }
  const loopback = options.family === 6 ? '::1' : '127.0.0.1';
  const ip = options.ip ?? (isIP(options.host ?? '') === 0 ? undefined : options.host) ?? found ?? loopback;
  const host = options.host ?? (options.preferHostname === true ? hostname() : ip);
  return { host, ip, loopback: found === undefined && options.host === undefined && options.ip === undefined };
}

/** The hosts in `scheme://user:password@host:port/path`, each part but the host being optional. */
export function hostsOf(addresses: readonly string[]): readonly string[] {
  return addresses.map((text) => {
    const authority = text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/[/?#].*$/, '');
    const host = authority.slice(authority.lastIndexOf('@') + 1);
    return /^\[(.*)\]/.exec(host)?.[1] ?? host.replace(/:\d*$/, '');
  });
}

/** Whether a host is this machine, and nobody else's way to it. */
export function isLoopback(host: string): boolean {
  return host === '::1' || host.toLowerCase() === 'localhost' || /^(?:::ffff:)?127\./.test(host);
}

function findAddress(options: AddressOptions, interfaces: Interfaces): string | undefined {
  const allowed = options.networks === undefined ? undefined : toBlockList(options.networks);
  for (const wanted of familiesOf(options)) {
    for (const [name, addresses] of Object.entries(interfaces)) {
      if (options.ignoredInterfaces?.some((pattern) => matches(pattern, name)) === true) continue;
      for (const { address, family, internal } of addresses ?? []) {
        if (internal || family !== `IPv${wanted}`) continue;
        // A link-local IPv6 address means nothing without the interface it belongs to.
        if (/^fe[89ab]/i.test(address)) continue;
        if (allowed === undefined || allowed.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')) return address;
      }
    }
  }
  return undefined;
}

/** The families of addresses that are looked for, in this order: those of the networks, when nothing else was said. */
function familiesOf({ family, networks = [] }: AddressOptions): readonly (4 | 6)[] {
  if (family !== undefined) return [family];
  if (networks.every((network) => !network.includes(':'))) return [4];
  return networks.every((network) => network.includes(':')) ? [6] : [4, 6];
}

function toBlockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = '', ...rest] = network.split('/');
    const prefix = /^\d{1,3}$/.test(bits) ? Number(bits) : NaN;
    try {
      if (rest.length > 0 || isIP(address) === 0) throw new TypeError('no address');
      list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6');
    } catch (cause) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        `a network must be written as 192.168.10.0/24 or fd00::/8, got ${describe(network)}`,
        { field: 'service.networks', cause },
      );
    }
  }
  return list;
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::' || address === '';
}
