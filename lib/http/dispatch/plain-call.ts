import type { Duplex } from 'node:stream';
import { Hop, type HopListener, type PooledTransport } from '../transport/index.js';
import type { DispatchListener, DispatchOptions } from './dispatch-port.js';

/** One request to an address that is no service: it goes where it says. */
export class PlainCall implements HopListener {
  private hop: Hop | undefined;
  private isOver = false;

  constructor(private readonly listener: DispatchListener) {}

  send(pools: PooledTransport, origin: string, request: DispatchOptions): void {
    const { headersTimeout, bodyTimeout } = request;
    const limits = { headersTimeout: headersTimeout ?? TIMEOUT_MS, bodyTimeout: bodyTimeout ?? TIMEOUT_MS };
    this.hop = new Hop(pools.poolFor(origin), { ...request, ...limits, origin }, this);
    this.hop.start();
  }

  onSent(): void {
    this.listener.onConnect((reason) => {
      if (this.isOver) return;
      this.isOver = true;
      this.hop?.cancel(reason);
      this.listener.onError(reason ?? Object.assign(new Error('Request aborted'), { name: 'AbortError' }));
    });
  }

  onInformation(status: number, headers: readonly Buffer[], statusText: string): void {
    this.listener.onHeaders(status, headers, () => {}, statusText);
  }

  onHead(hop: Hop, status: number, headers: readonly Buffer[], statusText: string): boolean {
    return this.listener.onHeaders(status, headers, () => hop.resume(), statusText);
  }

  onData(chunk: Buffer): boolean {
    return this.listener.onData(chunk);
  }

  onEnd(trailers: readonly Buffer[] = []): void {
    this.isOver = true;
    this.listener.onComplete(trailers);
  }

  onUpgrade(_hop: Hop, status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.isOver = true;
    this.listener.onUpgrade(status, headers, socket);
  }

  onFailure(error: Error): void {
    if (this.isOver) return;
    this.isOver = true;
    this.listener.onError(error);
  }
}

/** undici's own limits. */
const TIMEOUT_MS = 300_000;
