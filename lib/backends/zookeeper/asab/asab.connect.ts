import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { connect as tcpConnect, type NetConnectOpts, type Socket } from 'node:net';
import { connect as tlsConnect, type ConnectionOptions as TlsOptions } from 'node:tls';
import { isAsabHost, nothingResolved } from './asab.address.js';
import type { AsabLocator } from './asab.types.js';

/** How long one attempt to connect may take before the next address is tried, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5000;

/** A place to connect to. */
interface Candidate {
  readonly address: string;
  readonly family: number;
  readonly port: number;
}

/** Node's callback for an address, or for all of them. */
type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** What `http`, `https` and `net` take as `lookup`. */
export type LookupFunction = (hostname: string, options: LookupOptions, callback: LookupCallback) => void;

/** Calls back with a socket that is connected, or with why there is none. */
type SocketCallback = (error: Error | null, socket?: Socket) => void;

/**
 * All places that a discovered host stands for, in random order; hosts that the name servers don't know are left out.
 *
 * @throws NotDiscoveredError
 */
export async function candidatesFor(host: string, locator: AsabLocator): Promise<readonly Candidate[]> {
  const addresses = await locator.addressesOfHost(host);
  const resolved = await Promise.all(
    addresses.map(async (one) => {
      const places = await lookUp(one.host, one.family);
      return places.map(({ address, family }) => ({ address, family, port: one.port }));
    }),
  );
  const unique = new Map(resolved.flat().map((place) => [`${place.address} ${place.port}`, place]));
  if (unique.size === 0) {
    throw nothingResolved(
      host,
      addresses.map((one) => one.host),
    );
  }
  return shuffled([...unique.values()]);
}

/**
 * A `lookup` for `http.request`, `net.connect`, http agents and undici's `connect` that knows discovered addresses and
 * leaves every other name to the system. A lookup can't change the port: the URL must have it. To have the port
 * discovered too, use {@link asabAgents} or {@link asabConnector}.
 */
export function asabLookup(locator: AsabLocator): LookupFunction {
  return (hostname, options, callback) => {
    if (!isAsabHost(hostname)) return dnsLookup(hostname, options, callback as never);
    candidatesFor(hostname, locator).then(
      (candidates) => {
        const family = options.family === 'IPv6' ? 6 : options.family === 'IPv4' ? 4 : (options.family ?? 0);
        const fitting = candidates.filter((one) => family === 0 || one.family === family);
        const [first] = fitting;
        if (first === undefined)
          callback(
            nothingResolved(
              hostname,
              candidates.map((one) => one.address),
            ),
            '',
          );
        else if (options.all === true)
          callback(
            null,
            fitting.map(({ address, family }) => ({ address, family })),
          );
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };
}

/** The agents of {@link asabAgents}. */
export interface AsabAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  /** Closes their sockets. */
  close(): void;
}

/**
 * Agents for Node's `http` and `https` that connect to discovered addresses, host and port, one after the other until
 * one takes the connection. The `Host` header and the TLS name stay what the URL says. Other hosts are none of theirs.
 */
export function asabAgents(locator: AsabLocator, options: AgentOptions = {}): AsabAgents {
  const httpAgent = new HttpAgent({ keepAlive: true, ...options });
  const httpsAgent = new HttpsAgent({ keepAlive: true, ...options });
  const plain = httpAgent as unknown as Connects;
  const secure = httpsAgent as unknown as Connects;
  const plainBefore = plain.createConnection.bind(plain);
  const secureBefore = secure.createConnection.bind(secure);
  plain.createConnection = (given, callback) => {
    if (!isAsabHost(given.host ?? '')) return plainBefore(given, callback);
    open(given.host ?? '', locator, callback);
    return undefined;
  };
  secure.createConnection = (given, callback) => {
    const host = given.host ?? '';
    if (!isAsabHost(host)) return secureBefore(given, callback);
    open(host, locator, (error, socket) => {
      if (error !== null || socket === undefined) return callback(error);
      encrypt(socket, { ...given, servername: given.servername || host }, callback);
    });
    return undefined;
  };
  return {
    httpAgent,
    httpsAgent,
    close: () => {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

/** What undici gives its `connect` function. */
export interface UndiciConnectOptions {
  readonly hostname: string;
  readonly host?: string | undefined;
  readonly protocol: string;
  readonly port: string;
  readonly servername?: string | undefined;
}

/**
 * A `connect` function for undici's dispatchers: `new Agent({ connect: asabConnector(discovery) })`.
 *
 * @param tls options of TLS connections
 */
export function asabConnector(
  locator: AsabLocator,
  tls: TlsOptions = {},
): (options: UndiciConnectOptions, callback: (...outcome: [null, Socket] | [Error, null]) => void) => void {
  return ({ hostname, protocol, port, servername }, callback) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const isSecure = protocol === 'https:';
    const done: SocketCallback = (error, socket) => {
      if (socket === undefined) callback(error ?? new Error(`no connection to ${host}`), null);
      else callback(null, socket);
    };
    const opened: SocketCallback = (error, socket) => {
      if (error !== null || socket === undefined || !isSecure) return done(error, socket);
      const name = servername ?? '';
      encrypt(socket, { ALPNProtocols: ['http/1.1'], ...tls, servername: name === '' ? host : name }, done);
    };
    if (isAsabHost(host)) return open(host, locator, opened);
    attempt({ host, port: Number(port === '' ? (isSecure ? 443 : 80) : port) }).then(
      (socket) => opened(null, socket),
      (error: Error) => opened(error),
    );
  };
}

/** Node's agents have it, their types don't. */
interface Connects {
  createConnection(
    options: NetConnectOpts & { readonly host?: string; readonly servername?: string },
    callback: SocketCallback,
  ): Socket | undefined;
}

function open(host: string, locator: AsabLocator, callback: SocketCallback): void {
  openAny(host, locator).then(
    (socket) => callback(null, socket),
    (error: Error) => callback(error),
  );
}

async function openAny(host: string, locator: AsabLocator): Promise<Socket> {
  const candidates = await candidatesFor(host, locator);
  let failure: unknown;
  for (const { address, port } of candidates) {
    try {
      return await attempt({ host: address, port });
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function attempt(options: { readonly host: string; readonly port: number }): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tcpConnect({ ...options, noDelay: true });
    const end = (settle: () => void): void => {
      socket.setTimeout(0);
      socket.removeAllListeners('connect');
      socket.removeAllListeners('timeout');
      socket.removeListener('error', failed);
      settle();
    };
    const failed = (error: Error): void => end(() => reject(error));
    socket.once('error', failed);
    socket.once('connect', () => end(() => resolve(socket)));
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => {
      const error = Object.assign(new Error(`connect ETIMEDOUT ${options.host}:${options.port}`), {
        code: 'ETIMEDOUT',
        syscall: 'connect',
      });
      socket.destroy();
      failed(error);
    });
  });
}

function encrypt(socket: Socket, options: TlsOptions, callback: SocketCallback): void {
  const secure = tlsConnect({ ...options, socket });
  const failed = (error: Error): void => callback(error);
  secure.once('error', failed);
  secure.once('secureConnect', () => {
    secure.removeListener('error', failed);
    callback(null, secure);
  });
}

function lookUp(host: string, family: 4 | 6): Promise<readonly LookupAddress[]> {
  return new Promise((resolve) => {
    dnsLookup(host, { family, all: true }, (error, addresses) => resolve(error === null ? addresses : []));
  });
}

function shuffled<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}
