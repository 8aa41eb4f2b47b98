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

/** The URL that axios would build from the two. */
export function fullUrl(baseUrl: string | undefined, url: string | undefined, allowAbsolute: boolean): string {
  const relative = url ?? '';
  if (baseUrl === undefined || baseUrl === '' || (allowAbsolute && /^[a-z][a-z\d+.-]*:\/\//i.test(relative)))
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
  let end = start;
  while (end < url.length && !'/?#'.includes(url.charAt(end))) end += 1;
  const rest = url.slice(end);
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  const authority = url.slice(start, end);
  if (!isService) return { host: authority.replace(/^.*@/, '').replace(/:\d*$/, ''), isService, path };
  return { host: decodeName(authority, url), isService, path };
}

function decodeName(name: string, url: string): string {
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
