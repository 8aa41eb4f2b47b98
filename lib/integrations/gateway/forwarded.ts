import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv6, isIP } from 'node:net';
import { DiscoveryError } from '../../model/index.js';
import type { HeaderList } from './header-list.js';

/** Which headers tell a service where a request came from. */
export type ForwardedHeaders = 'both' | 'x-forwarded' | 'forwarded' | 'none';

/** What is known of a request's way so far. */
export interface ForwardedPlan {
  readonly headers: ForwardedHeaders;
  /** Those whose own word counts. */
  readonly trusted: TrustedNetworks | undefined;
  /** What was taken off the path's beginning; tells a service where it is mounted. */
  readonly prefix?: string | undefined;
}

/** The headers by which others say where a request came from; dropped when their sender isn't trusted. */
const CLAIMS: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-proto',
  'x-forwarded-ssl',
  'x-real-ip',
]);

/** Whether a header claims where a request came from; `name` in lower case. */
export function isForwardedClaim(name: string): boolean {
  return CLAIMS.has(name);
}

/** The networks whose proxies are believed. */
export class TrustedNetworks {
  private readonly list = new BlockList();

  /**
   * @param networks `10.0.0.0/8`, `::1`, `loopback`
   * @throws DiscoveryError `INVALID_OPTION`
   */
  constructor(networks: readonly string[]) {
    for (const network of networks.flatMap((one) => (one === 'loopback' ? ['127.0.0.0/8', '::1'] : [one]))) {
      const problem = this.add(network);
      if (problem === undefined) continue;
      throw new DiscoveryError(
        'INVALID_OPTION',
        `trustedProxies must be addresses, networks such as '10.0.0.0/8' or 'loopback': ${problem}`,
        { field: 'trustedProxies' },
      );
    }
  }

  has(address: string | undefined): boolean {
    if (address === undefined) return false;
    const plain = withoutMapping(address);
    return this.list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
  }

  private add(network: string): string | undefined {
    const [address = '', bits, ...more] = network.split('/');
    const version = isIP(address);
    if (version === 0 || more.length > 0) return `'${network}' is none`;
    const family = version === 6 ? 'ipv6' : 'ipv4';
    const width = version === 6 ? 128 : 32;
    if (bits === undefined) this.list.addAddress(address, family);
    else if (/^\d{1,3}$/.test(bits) && Number(bits) <= width) this.list.addSubnet(address, Number(bits), family);
    else return `'${network}' has no such width`;
    return undefined;
  }
}

/** Adds what a service may learn of the request's way, after the word of those who are trusted. */
export function addForwarded(headers: HeaderList, request: IncomingMessage, plan: ForwardedPlan): void {
  if (plan.headers === 'none') return;
  const { remoteAddress } = request.socket;
  const client = remoteAddress === undefined ? 'unknown' : withoutMapping(remoteAddress);
  const isTrusted = plan.trusted?.has(remoteAddress) === true;
  const before = (name: string): string | undefined => {
    const value = isTrusted ? request.headers[name] : undefined;
    return Array.isArray(value) ? value.join(', ') : value;
  };
  const host = request.headers.host ?? (request.headers[':authority'] as string | undefined);
  const isEncrypted = (request.socket as { readonly encrypted?: boolean }).encrypted === true;
  const proto = isEncrypted ? 'https' : 'http';
  if (plan.headers !== 'forwarded') {
    const chain = before('x-forwarded-for');
    headers.push('X-Forwarded-For', chain === undefined ? client : `${chain}, ${client}`);
    const originalHost = before('x-forwarded-host') ?? host;
    if (originalHost !== undefined) headers.push('X-Forwarded-Host', originalHost);
    headers.push('X-Forwarded-Proto', before('x-forwarded-proto') ?? proto);
    const port = before('x-forwarded-port') ?? portOf(host, request.socket.localPort);
    if (port !== undefined) headers.push('X-Forwarded-Port', port);
    const prefix = `${before('x-forwarded-prefix') ?? ''}${plan.prefix ?? ''}`;
    if (prefix !== '') headers.push('X-Forwarded-Prefix', prefix);
  }
  if (plan.headers === 'x-forwarded') return;
  const own = [`for=${node(client)}`, ...(host === undefined ? [] : [`host=${quoted(host)}`]), `proto=${proto}`].join(
    ';',
  );
  const chain = before('forwarded');
  headers.push('Forwarded', chain === undefined ? own : `${chain}, ${own}`);
}

/** The address of who asked at first, by the word of those who are trusted. */
export function clientAddress(request: IncomingMessage, trusted: TrustedNetworks | undefined): string | undefined {
  let address = request.socket.remoteAddress;
  const given = request.headers['x-forwarded-for'];
  const chain = (Array.isArray(given) ? given.join(',') : (given ?? '')).split(',').map((one) => one.trim());
  // From the nearest on: the first that isn't trusted is the last whose word can't be believed.
  for (let at = chain.length - 1; at >= 0 && trusted?.has(address) === true; at -= 1) {
    const next = chain[at] ?? '';
    if (isIP(next) === 0) break;
    address = next;
  }
  return address === undefined ? undefined : withoutMapping(address);
}

/** An IPv4 address that an IPv6 socket wrote as one of its own. */
function withoutMapping(address: string): string {
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  return plain.replace(/%.*$/, '');
}

function portOf(host: string | undefined, local: number | undefined): string | undefined {
  const port = /:(\d{1,5})$/.exec(host ?? '')?.[1];
  return port ?? (local === undefined ? undefined : String(local));
}

/** RFC 7239, 6: an IPv6 address stands in brackets and quotes. */
function node(address: string): string {
  return isIPv6(address) ? `"[${address}]"` : address;
}

function quoted(value: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
}
