import type { Connection } from './connection.js';
import type { Job, OriginPool } from './origin-pool.js';
import type { WireRequest } from './undici-port.js';

/** Who hears what becomes of a hop. */
export interface HopListener {
  /** The head of the answer; false pauses the body. */
  onHead(hop: Hop, status: number, headers: readonly Buffer[], statusText: string): boolean;
  onData(chunk: Buffer): boolean;
  /** @param trailers names and values in turn */
  onEnd(trailers: readonly Buffer[]): void;
  onFailure(error: Error): void;
  /** An answer that precedes the answer: 103 and such. */
  onInformation?(status: number, headers: readonly Buffer[]): void;
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
    readonly request: WireRequest,
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
  cancel(): void {
    this.listener = undefined;
    if (this.over) return;
    if (this.abortWire !== undefined) {
      this.abortWire();
    } else {
      this.over = true;
      this.pool.failed(this);
    }
  }

  onConnect(abort: (reason?: Error) => void): void {
    if (this.over) abort();
    else this.abortWire = abort;
  }

  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    if (status < 200) {
      this.listener?.onInformation?.(status, headers);
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

  onComplete(trailers: readonly Buffer[]): void {
    if (this.over) return;
    this.over = true;
    this.pool.done(this);
    this.listener?.onEnd(trailers);
  }

  onError(error: Error): void {
    if (this.over) return;
    this.over = true;
    this.pool.failed(this);
    this.listener?.onFailure(error);
  }
}
