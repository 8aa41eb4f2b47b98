import type { Duplex } from 'node:stream';
import type { CallFollower } from '../../observability/index.js';
import { resultOfError } from '../../discovery/index.js';
import { resultOfAnswer } from '../call-result.js';
import type { DispatchListener } from './dispatch-port.js';
import { isEventStream } from './request-headers.js';

/**
 * Passes on what is heard of a request, and tells those who observe the call how it ended: when its answer has, and of what may last
 * for hours (a stream of events, a socket) when that has begun.
 */
export class ObservedListener implements DispatchListener {
  private status: number | undefined;

  constructor(
    private readonly listener: DispatchListener,
    private readonly observed: CallFollower,
  ) {}

  onConnect(abort: (reason?: Error) => void): void {
    this.listener.onConnect(abort);
  }

  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    if (status >= 200) {
      this.status = status;
      if (isEventStream(headers)) this.answered();
    }
    return this.listener.onHeaders(status, headers, resume, statusText);
  }

  onData(chunk: Buffer): boolean {
    return this.listener.onData(chunk);
  }

  onComplete(trailers: readonly Buffer[]): void {
    this.answered();
    this.listener.onComplete(trailers);
  }

  onError(error: Error): void {
    this.observed.end(resultOfError(error));
    this.listener.onError(error);
  }

  onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.observed.end({ outcome: 'success', status });
    this.listener.onUpgrade(status, headers, socket);
  }

  private answered(): void {
    this.observed.end(resultOfAnswer({ status: this.status }));
  }
}
