import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { chooseAddress, withDeadline, type Clock } from '../../../backend/index.js';
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
  if (host !== undefined) return { host, ip: ip ?? (await addressOf(host, clock)) ?? chosenIp(options) };
  const own = ip ?? chosenIp(options);
  if (hostFrom === 'hostname') return { host: hostname(), ip: own };
  if (hostFrom === 'reverse-lookup') return { host: (await nameOf(own, clock)) ?? own, ip: own };
  return { host: own, ip: own };
}

function chosenIp(options: EurekaClientOptions): string {
  const { instanceIpNetwork, ignoredInterfaces } = options;
  const networks = typeof instanceIpNetwork === 'string' ? [instanceIpNetwork] : instanceIpNetwork;
  return chooseAddress({
    ...(networks === undefined ? {} : { networks }),
    ...(ignoredInterfaces === undefined ? {} : { ignoredInterfaces }),
  }).ip;
}

async function addressOf(host: string, clock: Clock): Promise<string | undefined> {
  if (isIP(host) !== 0) return host;
  try {
    return (await withDeadline(clock, LOOKUP_MS, undefined, `looking ${host} up`, () => lookup(host, 4))).address;
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
