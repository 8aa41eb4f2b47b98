import type { Duplex } from 'node:stream';
import { listenerOf, PassingListener, type DispatchHandler } from '../../http/index.js';

/** One request of a dispatcher, until its answer has ended or its connection has become its caller's own. */
export class PendingRequest extends PassingListener {
  private abort: ((reason?: Error) => void) | undefined;
  private destroyedBy: Error | undefined;
  private isOver = false;

  /** @param ended told once */
  constructor(
    handler: DispatchHandler,
    private readonly ended: (request: PendingRequest) => void,
  ) {
    super(listenerOf(handler));
  }

  /** Ends it, wherever it is. */
  destroy(error: Error): void {
    if (this.isOver) return;
    this.destroyedBy = error;
    if (this.abort === undefined) this.onError(error);
    else this.abort(error);
  }

  override onConnect(abort: (reason?: Error) => void): void {
    this.abort = abort;
    if (this.isOver) abort(this.destroyedBy);
    else super.onConnect(abort);
  }

  override onComplete(trailers: readonly Buffer[]): void {
    this.over();
    super.onComplete(trailers);
  }

  override onError(error: Error): void {
    if (this.isOver) return;
    this.over();
    super.onError(error);
  }

  override onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.over();
    super.onUpgrade(status, headers, socket);
  }

  private over(): void {
    this.isOver = true;
    this.ended(this);
  }
}
