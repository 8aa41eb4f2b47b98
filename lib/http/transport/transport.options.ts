import type { ConnectionOptions } from 'node:tls';
import { anything, checkOptions, flag, integerBetween, milliseconds, oneOf, type Check } from '../../backend/index.js';

/** Options of the pooled transport. */
export interface TransportOptions {
  /**
   * Sockets that may be open to one origin at a time; calls beyond that wait for one, their time-outs running.
   * @default no limit, as with axios's agent
   */
  readonly maxConnectionsPerOrigin?: number;
  /**
   * How long a connection and its handshake may take, in milliseconds. A call that fails so was surely not sent.
   * @default 10000
   */
  readonly connectTimeoutMs?: number;
  /**
   * How long an unused socket stays open, in milliseconds, when the server doesn't say how long it keeps it
   * (`keep-alive: timeout=5`). Node's own servers close after 5 s.
   * @default 4000
   */
  readonly keepAliveMs?: number;
  /**
   * How long before the server's announced end an unused socket is closed, in milliseconds: a request that crosses the
   * server's close on the wire fails with ECONNRESET. A server that announces less than this gets a socket per call.
   * @default 1000
   */
  readonly keepAliveMarginMs?: number;
  /** How to speak TLS: `ca`, `cert`, `key`, `rejectUnauthorized` … as for `tls.connect`. */
  readonly tls?: ConnectionOptions;
  /**
   * Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` count for calls whose `proxy` isn't set. Off, since a proxy that
   * is meant for the world outside rarely reaches the instances of a registry.
   * @default false
   */
  readonly useEnvironmentProxy?: boolean;
}

/** The HTTP clients that calls can be made with. */
export type HttpClientName = 'undici' | 'axios';

export const HTTP_CLIENTS: readonly HttpClientName[] = ['undici', 'axios'];

/** Options of what sends an app's calls. */
export interface HttpTransportOptions extends TransportOptions {
  /**
   * `undici`: pools of undici's connections, the fastest. `axios`: axios's own adapter for Node, for HTTP mocks such as
   * nock, which see no undici pools. @default 'undici'
   */
  readonly client?: HttpClientName;
}

/** Checks of the options, wherever they may be given. */
export const TRANSPORT_OPTIONS: Readonly<Record<keyof HttpTransportOptions, Check>> = {
  client: oneOf(...HTTP_CLIENTS),
  maxConnectionsPerOrigin: integerBetween(1, 1_000_000),
  connectTimeoutMs: milliseconds(1),
  keepAliveMs: milliseconds(1),
  keepAliveMarginMs: milliseconds(),
  tls: anything,
  useEnvironmentProxy: flag,
};

/** The options, defaults included. */
export interface ResolvedTransportOptions {
  readonly maxConnectionsPerOrigin: number;
  readonly connectTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly keepAliveMarginMs: number;
  readonly tls: ConnectionOptions;
  readonly useEnvironmentProxy: boolean;
}

/**
 * Checks the options and fills in the defaults.
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function resolveTransportOptions(options: TransportOptions): ResolvedTransportOptions {
  checkOptions('HTTP transport', options, TRANSPORT_OPTIONS);
  return {
    maxConnectionsPerOrigin: options.maxConnectionsPerOrigin ?? Infinity,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    keepAliveMs: options.keepAliveMs ?? 4000,
    keepAliveMarginMs: options.keepAliveMarginMs ?? 1000,
    tls: options.tls ?? {},
    useEnvironmentProxy: options.useEnvironmentProxy ?? false,
  };
}
