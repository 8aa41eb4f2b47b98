import type { Duplex } from 'node:stream';
import { listenerOf, type DispatchHandler, type DispatchListener } from '../../http/index.js';

/** One request of a dispatcher, until its answer has ended or its connection has become its caller's own. */
export class PendingRequest implements DispatchListener {
  private readonly listener: DispatchListener;
  private abort: ((reason?: Error) => void) | undefined;
  private destroyedBy: Error | undefined;
  private isOver = false;

  /** @param ended told once */
  constructor(
    handler: DispatchHandler,
    private readonly ended: (request: PendingRequest) => void,
  ) {
    this.listener = listenerOf(handler);
  }

  /** Ends it, wherever it is. */
  destroy(error: Error): void {
    if (this.isOver) return;
    this.destroyedBy = error;
    if (this.abort === undefined) this.onError(error);
    else this.abort(error);
  }

  onConnect(abort: (reason?: Error) => void): void {
    this.abort = abort;
    if (this.isOver) abort(this.destroyedBy);
    else this.listener.onConnect(abort);
  }

  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    return this.listener.onHeaders(status, headers, resume, statusText);
  }

  onData(chunk: Buffer): boolean {
    return this.listener.onData(chunk);
  }

  onComplete(trailers: readonly Buffer[]): void {
    this.over();
    this.listener.onComplete(trailers);
  }

  onError(error: Error): void {
    if (this.isOver) return;
    this.over();
    this.listener.onError(error);
  }

  onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.over();
    this.listener.onUpgrade(status, headers, socket);
  }

  private over(): void {
    this.isOver = true;
    this.ended(this);
  }
}
