import type { Duplex } from 'node:stream';

/**
 * The little of undici that the transport uses, in types of our own: undici's would end up in the package's
 * declarations, and they don't fit what undici 7 passes at run time (`onBodySent`, raw headers).
 */

/** One request, as undici's `Client.dispatch` takes it. */
export interface WireRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: readonly (string | readonly string[])[];
  readonly body: Buffer | AsyncIterable<Uint8Array> | null;
}

/** What else undici takes of a request, for those that come from its own callers: it is passed on unread. */
export type WireRequestOptions = Readonly<Record<string, unknown>> & {
  readonly method: string;
  readonly path: string;
  readonly origin: string;
};

/** What undici tells about a request: the raw form, which costs no parsing that is thrown away. */
export interface WireHandler {
  /** Called when the request goes to a socket. */
  onConnect(abort: (reason?: Error) => void): void;
  /** Called once for each informational answer and once for the final one; false pauses the body. */
  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean;
  /** False pauses the body. */
  onData(chunk: Buffer): boolean;
  /** @param trailers names and values in turn */
  onComplete(trailers?: readonly Buffer[]): void;
  onError(error: Error): void;
  /** The connection is no longer HTTP, and the handler's. */
  onUpgrade?(status: number, headers: readonly Buffer[], socket: Duplex): void;
}

/** One connection of undici's, with at most one request on it. */
export interface WireClient {
  dispatch(request: WireRequest | WireRequestOptions, handler: WireHandler): boolean;
  destroy(reason?: Error): Promise<void>;
  on(event: 'connect' | 'disconnect', listener: () => void): unknown;
}

/** A socket that may not be connected yet. */
export interface WireSocket {
  readonly connecting: boolean;
  destroy(): unknown;
}

/** Opens one socket; calls back when it can be written to. */
export type Connector = (
  options: object,
  callback: (error: Error | null, socket: WireSocket | null) => void,
) => WireSocket;

/** How undici makes a client. */
export interface WireClientOptions {
  readonly connect: Connector;
  readonly pipelining: 1;
  readonly headersTimeout: 0;
  readonly bodyTimeout: 0;
  readonly keepAliveTimeout: number;
  readonly keepAliveMaxTimeout: number;
  readonly keepAliveTimeoutThreshold: number;
}

/** undici, loaded. */
export interface Wire {
  createClient(origin: string, options: WireClientOptions): WireClient;
  buildConnector(options: object): Connector;
}

/**
 * Loads undici. Takes some 50 to 100 ms, more than the rest of this package together: hence on the first call (or by
 * `warmUp()`) and not at start-up.
 *
 * @returns undefined where the runtime gives something else by that name: Bun's has no `dispatch`
 */
export async function loadWire(): Promise<Wire | undefined> {
  const { Client, buildConnector } = await import('undici');
  if (typeof (Client.prototype as Partial<typeof Client.prototype>).dispatch !== 'function') return undefined;
  return {
    // The one border where our types meet undici's: see above.
    createClient: (origin, options) => new Client(origin, options as object) as unknown as WireClient,
    buildConnector: (options) => buildConnector(options) as unknown as Connector,
  };
}
