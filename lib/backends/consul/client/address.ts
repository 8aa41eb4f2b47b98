import { isIPv6 } from 'node:net';
import { DiscoveryError } from '../../../model/index.js';

/** Where an agent listens. */
export type ConsulAddress =
  | { readonly kind: 'tcp'; readonly tls: boolean; readonly host: string; readonly port: number; readonly path: string }
  | { readonly kind: 'unix'; readonly socketPath: string };

/** Ports of an agent when an address names none. */
const HTTP_PORT = 8500;
const HTTPS_PORT = 8501;

/**
 * Reads an address: `host`, `host:port`, `[::1]:8500`, `http(s)://host:port/path`, `unix:///path` or `/path` of a unix
 * socket. Without a port it is 8500, and 8501 for https.
 *
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function parseAddress(given: string, field = 'address'): ConsulAddress {
  const refuse = (problem: string): DiscoveryError =>
    // The text itself may hold a password.
    new DiscoveryError('INVALID_OPTION', `${field} ${problem}`, { field });
  if (typeof given !== 'string' || given === '') throw refuse('must be a text that is not empty');
  if (given.startsWith('/')) return { kind: 'unix', socketPath: given };
  const unix = /^unix:(?:\/\/)?(\/.+)$/.exec(given)?.[1];
  if (unix !== undefined) return { kind: 'unix', socketPath: unix };
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? given : `http://${isIPv6(given) ? `[${given}]` : given}`;
  if (!URL.canParse(withScheme)) throw refuse('must be host, host:port, a URL or the path of a unix socket');
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refuse('must be an http, https or unix address');
  if (url.username !== '' || url.password !== '') {
    throw refuse('must not contain a user or a password: give a token instead');
  }
  if (url.search !== '' || url.hash !== '') throw refuse('must not contain a query or a fragment');
  const tls = url.protocol === 'https:';
  // URL drops a port that is the scheme's own.
  const explicit = /^[^/]*\/\/[^/]*:(\d+)(?:\/|$)/.exec(withScheme)?.[1];
  const port = explicit === undefined ? (tls ? HTTPS_PORT : HTTP_PORT) : Number(explicit);
  if (port === 0) throw refuse('must have a port from 1 to 65535');
  return {
    kind: 'tcp',
    tls,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port,
    path: url.pathname.replace(/\/+$/, ''),
  };
}

/** The agent's host. */
export function hostOf(address: ConsulAddress): string {
  return address.kind === 'unix' ? 'localhost' : address.host;
}

/** An address as text, for messages. */
export function addressText(address: ConsulAddress): string {
  if (address.kind === 'unix') return `unix://${address.socketPath}`;
  const host = isIPv6(address.host) ? `[${address.host}]` : address.host;
  return `${address.tls ? 'https' : 'http'}://${host}:${address.port}${address.path}`;
}
