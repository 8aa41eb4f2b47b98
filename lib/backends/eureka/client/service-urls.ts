import { serverTexts } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';

/** What is added to a server that is given without it. */
export interface ServiceUrlDefaults {
  readonly protocol: 'http' | 'https';
  readonly context: string;
  readonly port: number | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/**
 * Makes complete base URLs, without a slash at their end, of whatever form a user gives servers in. Credentials stay in
 * them, percent-encoded.
 *
 * @throws DiscoveryError `INVALID_OPTION`; a URL that isn't understood isn't shown, since it may hold a password
 */
export function parseServiceUrls(
  given: string | readonly string[],
  defaults: ServiceUrlDefaults,
  what: string,
  field: string,
): readonly string[] {
  const entries = serverTexts(given, what, field);
  return [...new Set(entries.map((entry) => parseServiceUrl(entry, defaults, what, field)))];
}

function parseServiceUrl(entry: string, defaults: ServiceUrlDefaults, what: string, field: string): string {
  const complete = /^[a-z][a-z0-9+.-]*:\/\//i.test(entry) ? entry : `${defaults.protocol}://${entry}`;
  const parsed = URL.canParse(complete) ? new URL(complete) : undefined;
  const problem = parsed === undefined ? 'holds no URL' : problemOf(parsed);
  if (parsed === undefined || problem !== undefined) {
    const example = 'a server is written as http://host:8761/eureka or host:8761';
    throw new DiscoveryError('INVALID_OPTION', `${what} ${problem}; ${example}`, { field });
  }
  if (parsed.username === '' && defaults.username !== undefined) {
    parsed.username = encodeURIComponent(defaults.username);
    parsed.password = encodeURIComponent(defaults.password ?? '');
  }
  // `new URL` drops a port that is the scheme's own, so whether one was given must be read from the text.
  if (parsed.port === '' && defaults.port !== undefined && !/:\d+$/.test(authorityOf(complete))) {
    parsed.port = String(defaults.port);
  }
  const path = parsed.pathname === '/' ? defaults.context : parsed.pathname;
  parsed.pathname = path.replace(/\/{2,}/g, '/').replace(/\/$/, '');
  return parsed.href.replace(/\/$/, '');
}

function problemOf(url: URL): string | undefined {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'holds a URL that is neither http nor https';
  if (url.search !== '' || url.hash !== '') return 'holds a URL with a query or a fragment';
  try {
    decodeURIComponent(url.username);
    decodeURIComponent(url.password);
  } catch {
    return 'holds credentials that are not percent-encoded';
  }
  return undefined;
}

function authorityOf(url: string): string {
  return /^[^:]+:\/\/([^/?#]*)/.exec(url)?.[1] ?? '';
}

/** A server to ask: its base URL without credentials, and the header that carries them. */
export interface Endpoint {
  readonly baseUrl: string;
  readonly authorization: string | undefined;
}

/** Takes a URL's credentials out of it. */
export function toEndpoint(serviceUrl: string): Endpoint {
  const url = new URL(serviceUrl);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    baseUrl: url.href.replace(/\/$/, ''),
    authorization: username === '' ? undefined : `Basic ${Buffer.from(credentials, 'utf8').toString('base64')}`,
  };
}

/**
 * Base URLs in the order in which they are to be tried: the own zone's, then the other zones', beginning with the one
 * after the own.
 *
 * @param arrange puts the servers of one zone in this client's order
 */
export function orderByZone(
  zones: ReadonlyMap<string, readonly string[]>,
  ownZone: string,
  preferSameZone: boolean,
  arrange: (servers: readonly string[]) => readonly string[],
): readonly string[] {
  const names = [...zones.keys()];
  const own = names.indexOf(ownZone);
  const start = preferSameZone && own > 0 ? own : 0;
  const order = [...names.slice(start), ...names.slice(0, start)];
  return order.flatMap((zone) => [...arrange(zones.get(zone) ?? [])]);
}
