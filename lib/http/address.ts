import { AxiosError, type InternalAxiosRequestConfig } from 'axios';
import { DiscoveryError, describe } from '../model/index.js';

/** Scheme of addresses that name a service: `lb://STOCK/quote`. */
export const SERVICE_SCHEME = 'lb://';

/** Where a call goes, before an instance was picked. */
export interface CallAddress {
  /** The service's name, or the host of an `http` URL. */
  readonly host: string;
  /** True for `lb://`, false for any other URL. */
  readonly isService: boolean;
  /** Path and query, with the slash. */
  readonly path: string;
}

/** `lb://` and the name, safe for any name. */
export function serviceUrl(service: string): string {
  return SERVICE_SCHEME + encodeURIComponent(service);
}

/** The scheme of a URL, in lower case. */
export function schemeOf(url: string): string {
  return url.slice(0, url.indexOf(':')).toLowerCase();
}

/** The URL that axios would build from the two; `//host` is one without a scheme, which is no path of the base, and none at all. */
export function fullUrl(baseUrl: string | undefined, url: string | undefined, allowAbsolute: boolean): string {
  const relative = url ?? '';
  if (baseUrl === undefined || baseUrl === '' || (allowAbsolute && /^(?:[a-z][a-z\d+.-]*:)?\/\//i.test(relative)))
    return relative;
  return relative === '' ? baseUrl : `${baseUrl.replace(/\/+$/, '')}/${relative.replace(/^\/+/, '')}`;
}

/**
 * Takes a URL apart without the cost of a URL object, which every call would pay.
 * @throws DiscoveryError `INVALID_NAME` for `lb://` without a name
 */
export function parseAddress(url: string): CallAddress | undefined {
  const isService = url.startsWith(SERVICE_SCHEME);
  const start = isService ? SERVICE_SCHEME.length : url.indexOf('://') + 3;
  if (start === 2) return undefined;
  const end = endOfAuthority(url, start);
  const rest = url.slice(end);
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  const authority = url.slice(start, end);
  if (!isService) return { host: authority.replace(/^.*@/, '').replace(/:\d*$/, ''), isService, path };
  return { host: decodeName(authority, url), isService, path };
}

/** Where `/`, `?` or `#` comes first. */
function endOfAuthority(url: string, start: number): number {
  let end = start;
  for (; end < url.length; end += 1) {
    const code = url.charCodeAt(end);
    if (code === 47 || code === 63 || code === 35) break;
  }
  return end;
}

/**
 * Keeps a bound client in its service: an address of another service or host is refused, and so is a way up (`..`), which
 * every URL parser would follow out of the service's context path.
 *
 * @param url the full address, `address` taken apart; undefined when it is none
 * @param given what the caller wrote: a host that stands there without a scheme would end up as a part of the path
 * @param allowAbsoluteUrls whether other services and hosts may be called
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function assertWithin(
  service: string,
  url: string,
  address: CallAddress | undefined,
  given: string | undefined,
  allowAbsoluteUrls: boolean,
): void {
  const namesHost = given !== undefined && /^[\\/]{2}/.test(given);
  if (address?.isService === true && address.host === service && !namesHost) {
    if (leadsUp(address.path)) throw refused(service, "a path that leads up ('..') is none of it");
    return;
  }
  if (allowAbsoluteUrls) return;
  // Without path and query, which may hold secrets.
  const target = /^(?:[a-z][a-z\d+.-]*:)?[\\/]*[^\\/?#]*/i.exec(namesHost ? given : url)?.[0] ?? '';
  throw refused(
    service,
    `${describe(target)} is another address: the unbound ServiceHttpClient calls any, and so does this client with the ` +
      'option allowAbsoluteUrls',
  );
}

function refused(service: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `the client of ${service} calls nothing else: ${problem}`, {
    field: 'url',
    service,
  });
}

/** Whether a URL parser, or a server that decodes once more than it should, would find `..` in the path. */
function leadsUp(path: string): boolean {
  if (!/\.\.|%2e|[\t\n\r]/i.test(path)) return false;
  const decoded = path
    .replace(/[?#].*$/s, '')
    .replace(/[\t\n\r]/g, '')
    .replace(/%2e/gi, '.')
    .replace(/%2f|%5c|\\/gi, '/');
  return decoded.split('/').some((segment) => segment === '..' || segment.startsWith('..;'));
}

function decodeName(name: string, url: string): string {
  if (name !== '' && !name.includes('%')) return name;
  try {
    const decoded = decodeURIComponent(name);
    if (decoded !== '') return decoded;
  } catch {
    // Told below, as every other name that is none.
  }
  throw new DiscoveryError('INVALID_NAME', `an address must look like lb://SERVICE/path, got ${describe(url)}`, {
    field: 'url',
  });
}

/** `/api` for `api/`, nothing for nothing. */
export function basePath(path: string | undefined): string {
  if (path === undefined || path === '' || path === '/') return '';
  return `/${path.replace(/^\/+|\/+$/g, '')}`;
}

/** The error for a relative address that nobody has said the service of. */
export function relative(url: string, config: InternalAxiosRequestConfig): AxiosError {
  return new AxiosError(
    `Invalid URL: ${describe(url.replace(/[?#].*$/s, ''))} names no service. Say which: lb://SERVICE/path, or inject the ` +
      "service's own client by @DiscoverableClient('SERVICE')",
    'ERR_INVALID_URL',
    config,
  );
}
