import type { Duplex } from 'node:stream';
import type { CallFollower } from '../../observability/index.js';
import { resultOfError } from '../../discovery/index.js';
import { resultOfAnswer } from '../call-result.js';
import type { DispatchListener } from './dispatch-port.js';
import { PassingListener } from './passing-listener.js';
import { isEventStream } from './request-headers.js';

/**
 * Passes on what is heard of a request, and tells those who observe the call how it ended: when its answer has, and of what may last
 * for hours (a stream of events, a socket) when that has begun.
 */
export class ObservedListener extends PassingListener {
  private status: number | undefined;

  constructor(
    listener: DispatchListener,
    private readonly observed: CallFollower,
  ) {
    super(listener);
  }

  override onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    if (status >= 200) {
      this.status = status;
      if (isEventStream(headers)) this.answered();
    }
    return super.onHeaders(status, headers, resume, statusText);
  }

  override onComplete(trailers: readonly Buffer[]): void {
    this.answered();
    super.onComplete(trailers);
  }

  override onError(error: Error): void {
    this.observed.end(resultOfError(error));
    super.onError(error);
  }

  override onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.observed.end({ outcome: 'success', status });
    super.onUpgrade(status, headers, socket);
  }

  private answered(): void {
    this.observed.end(resultOfAnswer({ status: this.status }));
  }
}
