import type { Duplex } from 'node:stream';
import type { Connection } from './connection.js';
import type { Job, OriginPool } from './origin-pool.js';
import type { WireRequest, WireRequestOptions } from './undici-port.js';

/** Who hears what becomes of a hop. */
export interface HopListener {
  /** The head of the answer; false pauses the body. */
  onHead(hop: Hop, status: number, headers: readonly Buffer[], statusText: string): boolean;
  onData(chunk: Buffer): boolean;
  /** @param trailers names and values in turn */
  onEnd(trailers?: readonly Buffer[]): void;
  onFailure(error: Error): void;
  /** The request goes to a socket. */
  onSent?(hop: Hop): void;
  /** An informational answer. */
  onInformation?(status: number, headers: readonly Buffer[], statusText: string): void;
  /** The connection is no longer HTTP, and the listener's. */
  onUpgrade?(hop: Hop, status: number, headers: readonly Buffer[], socket: Duplex): void;
}

/** The rest of a redirect's answer that is worth reading, to keep its socket. */
const MAX_DRAIN = 16 * 1024;

/** One request and its answer. Gives its connection back exactly once, whatever happens. */
export class Hop implements Job {
  connection: Connection | undefined;
  private listener: HopListener | undefined;
  private abortWire: ((reason?: Error) => void) | undefined;
  private resumeWire: (() => void) | undefined;
  private drained = 0;
  private over = false;

  constructor(
    private readonly pool: OriginPool,
    readonly request: WireRequest | WireRequestOptions,
    listener: HopListener,
  ) {
    this.listener = listener;
  }

  start(): void {
    this.pool.run(this);
  }

  /** Whether any of the request may have gone to a socket. */
  get wasSent(): boolean {
    return this.abortWire !== undefined;
  }

  /** Goes on with a body that was paused. */
  resume(): void {
    this.resumeWire?.();
  }

  /** Nobody wants the rest of the answer; a short one is read to its end, so that the socket can be used again. */
  ignoreRest(): void {
    this.listener = undefined;
  }

  /** Gives the request up, wherever it is: waiting, connecting, sent or half answered. */
  cancel(reason?: Error): void {
    this.listener = undefined;
    if (this.over) return;
    if (this.abortWire !== undefined) {
      this.abortWire(reason);
    } else {
      this.over = true;
      this.pool.failed(this);
    }
  }

  onConnect(abort: (reason?: Error) => void): void {
    if (this.over) {
      abort();
      return;
    }
    this.abortWire = abort;
    this.listener?.onSent?.(this);
  }

  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    if (status < 200) {
      this.listener?.onInformation?.(status, headers, statusText);
      return true;
    }
    this.resumeWire = resume;
    return this.listener === undefined || this.listener.onHead(this, status, headers, statusText);
  }

  onData(chunk: Buffer): boolean {
    if (this.listener !== undefined) return this.listener.onData(chunk);
    this.drained += chunk.length;
    if (this.drained > MAX_DRAIN) this.abortWire?.();
    return true;
  }

  onComplete(trailers?: readonly Buffer[]): void {
    if (this.over) return;
    this.over = true;
    this.pool.done(this);
    this.listener?.onEnd(trailers);
  }

  onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    if (this.over) return;
    this.over = true;
    this.pool.failed(this);
    if (this.listener?.onUpgrade === undefined) socket.destroy();
    else this.listener.onUpgrade(this, status, headers, socket);
  }

  onError(error: Error): void {
    if (this.over) return;
    this.over = true;
    this.pool.failed(this);
    this.listener?.onFailure(error);
  }
}
