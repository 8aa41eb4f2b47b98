import type { Duplex } from 'node:stream';

/** A request, as undici and Node's `fetch` give it to a dispatcher. */
export interface DispatchOptions {
  readonly path: string;
  readonly method: string;
  readonly origin?: string | URL;
  /** Names and values in turn, pairs, or an object. */
  readonly headers?: object | null;
  readonly body?: unknown;
  readonly upgrade?: unknown;
  /** How long the head of the answer may take, in milliseconds. */
  readonly headersTimeout?: number | null;
  /** How long the answer may pause, in milliseconds. */
  readonly bodyTimeout?: number | null;
  // Passed on as they are: undici's own words, which it checks.
  readonly query?: unknown;
  readonly idempotent?: unknown;
  readonly blocking?: unknown;
  readonly reset?: unknown;
  readonly expectContinue?: unknown;
  readonly servername?: unknown;
  readonly maxRedirections?: unknown;
}

/** What a handler of undici 7 and 8, and of Node 26, is given to control its request. */
export interface DispatchController {
  readonly aborted: boolean;
  readonly reason: Error | null;
  readonly paused: boolean;
  readonly rawHeaders: readonly Buffer[] | null;
  readonly rawTrailers: readonly Buffer[] | null;
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

/**
 * Who hears of a request. There are two kinds: those of undici 6, and of all Node up to 24, have `onConnect`, `onHeaders`,
 * `onData`, `onComplete`, `onError`; newer ones have `onRequestStart` and the others that take a controller.
 */
export interface DispatchHandler {
  onConnect?(abort: (reason?: Error) => void, context?: object): void;
  onResponseStarted?(): void;
  onHeaders?(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean;
  onData?(chunk: Buffer): boolean;
  onComplete?(trailers: string[] | null): void;
  onError?(error: Error): void;
  onUpgrade?(status: number, headers: Buffer[] | string[] | null, socket: Duplex): void;

  onRequestStart?(controller: never, context: never): void;
  onRequestUpgrade?(controller: never, status: number, headers: never, socket: Duplex): void;
  onResponseStart?(controller: never, status: number, headers: never, statusText?: string): void;
  onResponseData?(controller: never, chunk: Buffer): void;
  onResponseEnd?(controller: never, trailers: never): void;
  onResponseError?(controller: never, error: Error): void;
}

/** A handler of the older kind, which is that of the wire. */
export interface DispatchListener {
  onConnect(abort: (reason?: Error) => void): void;
  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean;
  onData(chunk: Buffer): boolean;
  onComplete(trailers: readonly Buffer[]): void;
  onError(error: Error): void;
  onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void;
}
