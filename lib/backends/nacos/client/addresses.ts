import { serverTexts } from '../../../backend/index.js';
import { authority, DiscoveryError } from '../../../model/index.js';

/** Where a Nacos server listens for HTTP; its gRPC port is computed from that. */
export interface ServerAddress {
  readonly scheme: 'http' | 'https';
  /** An IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** The port of Nacos's HTTP API when an address names none. */
export const DEFAULT_PORT = 8848;

/**
 * Reads `host`, `host:port`, `http://host:port` or `https://host:port`; without a scheme it is HTTP. A path is ignored
 * (that is what `contextPath` is for).
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming `field` and never repeating the text, which may hold a password
 */
export function parseServerAddress(text: string, field: string): ServerAddress {
  const trimmed = text.trim();
  const refuse = (problem: string): DiscoveryError =>
    new DiscoveryError('INVALID_OPTION', `nacos: ${field} ${problem}`, { field });
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(trimmed)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') {
    throw refuse(`must be host:port, http://host:port or https://host:port, got the scheme ${scheme}`);
  }
  const bare = /^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(trimmed) ? `[${trimmed}]` : trimmed;
  const url = scheme === undefined ? `http://${bare}` : trimmed;
  if (trimmed === '' || !URL.canParse(url)) throw refuse('must be host:port, http://host:port or https://host:port');
  const parsed = new URL(url);
  if (parsed.username !== '' || parsed.password !== '') {
    throw refuse('must not contain a user or a password; use the options username and password');
  }
  // The URL class drops a port that is its scheme's own: with a scheme that port was meant.
  const usual = /^(?:[a-z]+:\/\/)?[^/?#]*:(80|443)(?:[/?#]|$)/i.exec(trimmed)?.[1];
  const port = parsed.port !== '' ? Number(parsed.port) : usual === undefined ? DEFAULT_PORT : Number(usual);
  if (port === 0) throw refuse('must have a port from 1 to 65535');
  return { scheme: scheme ?? 'http', host: parsed.hostname.replace(/^\[|\]$/g, ''), port };
}

/** One address, a list of addresses, or a text with commas between them. */
export function parseServerAddresses(given: string | readonly string[], field: string): readonly ServerAddress[] {
  return serverTexts(given, `nacos: ${field}`, field).map((one) => parseServerAddress(one, field));
}

/** `http://host:port`, with brackets around an IPv6 address. */
export function baseUrl(address: ServerAddress): string {
  return `${address.scheme}://${authority(address.host, address.port)}`;
}

/**
 * The servers in the answer of an address endpoint: one `host` or `host:port` a line. What is no address is left out.
 */
export function parseServerListText(text: string): readonly ServerAddress[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return [];
    try {
      return [parseServerAddress(trimmed, 'endpoint')];
    } catch {
      return [];
    }
  });
}
