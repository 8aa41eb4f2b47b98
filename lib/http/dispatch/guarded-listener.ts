import type { Duplex } from 'node:stream';
import { PassingListener } from './passing-listener.js';

/** Passes on what is heard of a request, and tells whoever runs it when all of it is over, and how. */
export class GuardedListener extends PassingListener {
  private isHeard = false;
  private resolve: () => void = () => {};
  private reject: (error: Error) => void = () => {};

  /**
   * Sends the request, and resolves or rejects when its answer has ended. Only as long as nothing of it was heard can it be
   * sent again.
   */
  during(send: () => void): Promise<void> {
    if (this.isHeard) return Promise.reject(new Error('an answer has begun, and the call can not be repeated'));
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      send();
    });
  }

  /** Whoever runs the request has refused it, or given it up. */
  refused(error: Error): void {
    if (!this.isHeard) super.onError(error);
  }

  override onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    if (status >= 200) this.isHeard = true;
    return super.onHeaders(status, headers, resume, statusText);
  }

  override onComplete(trailers: readonly Buffer[]): void {
    this.resolve();
    super.onComplete(trailers);
  }

  /** What failed before an answer is told when whoever runs the request has no other word to say. */
  override onError(error: Error): void {
    this.reject(error);
    if (this.isHeard) super.onError(error);
  }

  override onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.isHeard = true;
    socket.once('close', this.resolve);
    super.onUpgrade(status, headers, socket);
  }
}
