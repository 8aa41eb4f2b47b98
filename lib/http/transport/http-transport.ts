import type { ConnectionOptions } from 'node:tls';
import type { AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import type { HopListener } from './hop.js';
import type { WireRequest } from './undici-port.js';

/**
 * Which redirects a call to an instance follows:
 * - `same-origin`: those to the same scheme, host and port; another one is an error, `ERR_FR_REDIRECTION_FAILURE`;
 * - `any`: to another origin go only headers that say how to read (`Accept`, `Content-Type` …), whoever set the others;
 * - `none`: none, the answer is given to the caller.
 */
export type Redirects = 'same-origin' | 'any' | 'none';

/** Where one try of a call goes, instead of where its config says. */
export interface Destination {
  /** Absolute URL, with the path and without `params`. @default the config's */
  readonly url?: string;
  /** @default as axios does */
  readonly redirects?: Redirects;
  /** More headers, which don't replace the call's own. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The time-out of this try instead of the config's, in milliseconds; 0: for ever. @default the config's */
  readonly timeoutMs?: number;
}

/** A request that is passed on as it came, and its answer: what {@link HttpTransport.dispatch} began. */
export interface RawExchange {
  /** Whether any of the request may have gone to a socket. */
  readonly wasSent: boolean;
  /** Goes on with a body that was paused. */
  resume(): void;
  /** Gives the request up, wherever it is: waiting, connecting, sent or half answered. */
  cancel(): void;
}

/** What sends requests. The config given to it may be given again, to the same transport, for another try. */
export interface HttpTransport {
  /** Sends one request. `response.config` is the config given here. */
  send(config: InternalAxiosRequestConfig, destination?: Destination): Promise<AxiosResponse>;
  /**
   * Sends a request as it is over the same connections, and tells of the answer as it comes: for those who pass both on.
   * {@link warmUp} must have resolved. Absent where requests go through axios's adapter.
   *
   * @param origin `http://10.0.0.5:8080`
   * @throws DiscoveryError `BACKEND_CLOSED` after `close()`, `UNSUPPORTED` where the runtime has no undici
   */
  dispatch?(origin: string, request: WireRequest, listener: HopListener): RawExchange;
  /** How {@link dispatch} speaks TLS, for connections that others open. */
  readonly tls?: ConnectionOptions;
  /** The instance at `http://10.0.0.5:8080` is gone: closes what is idle now, and the rest when it is answered. */
  release(origin: string): void;
  /** Loads what the first call would load otherwise. */
  warmUp(): Promise<void>;
  /** Closes all sockets; calls that are under way fail with ECONNRESET. Resolves when the sockets are closed. */
  close(): Promise<void>;
}

/** What a transport has open. */
export interface TransportStats {
  /** Origins with a pool. */
  readonly origins: number;
  /** Connected sockets. */
  readonly sockets: number;
  /** Calls that are sent or wait for a connection. */
  readonly inFlight: number;
}
