import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { chooseAddress, firstNonLoopbackIp, withDeadline, type Clock } from '../../../backend/index.js';
import { defined, DiscoveryError } from '../../../model/index.js';
import type { EurekaClientOptions } from './client-options.js';

/** How long a name server may take; then the address is registered as the name. */
const LOOKUP_MS = 1000;

/** The address that others are to call. */
export interface OwnAddress {
  readonly host: string;
  readonly ip: string;
}

/**
 * Completes what was given of host and address. Names are looked up with a time limit, so that this never keeps an app
 * from starting.
 *
 * @throws DiscoveryError `INVALID_OPTION` for a network that isn't one, or that no interface is in
 */
export async function resolveOwnAddress(options: EurekaClientOptions, clock: Clock): Promise<OwnAddress> {
  const { instanceHost: host, instanceIp: ip, hostFrom = 'address' } = options;
  if (host !== undefined) return { host, ip: ip ?? (await addressOf(host, options, clock)) ?? chosenIp(options) };
  const own = ip ?? chosenIp(options);
  if (hostFrom === 'hostname') return { host: hostname(), ip: own };
  if (hostFrom === 'reverse-lookup') return { host: (await nameOf(own, clock)) ?? own, ip: own };
  return { host: own, ip: own };
}

/** @throws DiscoveryError `INVALID_OPTION` for a network that isn't one, whether or not it will be needed */
export function assertNetworks(options: EurekaClientOptions): void {
  withOwnField(() => networksOf(options)?.forEach((network) => firstNonLoopbackIp(network)));
}

function chosenIp(options: EurekaClientOptions): string {
  const { ignoredInterfaces } = options;
  const networks = networksOf(options);
  return withOwnField(() => chooseAddress(defined({ networks, ignoredInterfaces })).ip);
}

function withOwnField<T>(choose: () => T): T {
  try {
    return choose();
  } catch (error) {
    if (!(error instanceof DiscoveryError) || error.code !== 'INVALID_OPTION') throw error;
    // Said by the name that this option has here.
    const message = `EurekaClient: instanceIpNetwork: ${error.message.replace(/^service\.networks: /, '')}`;
    throw new DiscoveryError('INVALID_OPTION', message, { field: 'instanceIpNetwork', cause: error });
  }
}

function networksOf({ instanceIpNetwork }: EurekaClientOptions): readonly string[] | undefined {
  return typeof instanceIpNetwork === 'string' ? [instanceIpNetwork] : instanceIpNetwork;
}

/** What a name stands for: an IPv4 address when it has one, unless the networks are all IPv6. */
async function addressOf(host: string, options: EurekaClientOptions, clock: Clock): Promise<string | undefined> {
  if (isIP(host) !== 0) return host;
  const preferred = networksOf(options)?.every((network) => network.includes(':')) === true ? 6 : 4;
  try {
    const found = await withDeadline(clock, LOOKUP_MS, undefined, `looking ${host} up`, () =>
      lookup(host, { all: true }),
    );
    return (found.find(({ family }) => family === preferred) ?? found[0])?.address;
  } catch {
    return undefined;
  }
}

async function nameOf(ip: string, clock: Clock): Promise<string | undefined> {
  const resolver = new Resolver({ timeout: LOOKUP_MS, tries: 1 });
  try {
    const names = await withDeadline(clock, LOOKUP_MS, undefined, `looking ${ip} up`, () => resolver.reverse(ip));
    return names[0];
  } catch {
    return undefined;
  } finally {
    resolver.cancel();
  }
}
