import type { Duplex } from 'node:stream';
import type { DispatchListener } from './dispatch-port.js';

/** Passes on all that is heard of a request: for those who want to hear some of it too. */
export class PassingListener implements DispatchListener {
  constructor(private readonly listener: DispatchListener) {}

  onConnect(abort: (reason?: Error) => void): void {
    this.listener.onConnect(abort);
  }

  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    return this.listener.onHeaders(status, headers, resume, statusText);
  }

  onData(chunk: Buffer): boolean {
    return this.listener.onData(chunk);
  }

  onComplete(trailers: readonly Buffer[]): void {
    this.listener.onComplete(trailers);
  }

  onError(error: Error): void {
    this.listener.onError(error);
  }

  onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.listener.onUpgrade(status, headers, socket);
  }
}
