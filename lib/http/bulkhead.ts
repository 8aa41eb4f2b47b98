import type { Clock, Timer } from '../backend/index.js';
import { DiscoveryError } from '../model/index.js';

/** How many calls to a service may be under way at a time. */
export interface BulkheadOptions {
  /** Calls under way, their retries included. */
  readonly maxCalls: number;
  /** Calls that wait for one of these to end; more are refused at once. @default 0 */
  readonly maxQueue?: number;
}

/** Bounds the calls of this app to one service, so that one that is slow doesn't take everything that the app has. */
export class Bulkhead {
  private active = 0;
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly service: string,
    readonly options: BulkheadOptions,
    private readonly clock: Clock,
  ) {}

  /** Calls that have begun. */
  get activeCount(): number {
    return this.active;
  }

  /** Calls that wait. */
  get waitingCount(): number {
    return this.waiting.size;
  }

  /**
   * Begins a call: it has a place until {@link leave}.
   *
   * @param waitMs how long it may wait for its place, in milliseconds; 0: for ever
   * @returns undefined when it has its place, else a promise of it
   * @throws DiscoveryError `BULKHEAD_FULL`; `ABORTED` when the signal ends the wait
   */
  enter(waitMs: number, signal?: AbortSignal): Promise<void> | undefined {
    const { maxCalls, maxQueue = 0 } = this.options;
    if (this.active < maxCalls) {
      this.active += 1;
      return undefined;
    }
    if (this.waiting.size >= maxQueue) {
      throw this.full(`${this.active} calls are under way and ${this.waiting.size} wait, which is all that may`);
    }
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const settle = (error?: DiscoveryError): void => {
        this.waiting.delete(proceed);
        timer?.cancel();
        signal?.removeEventListener('abort', abort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const proceed = (): void => settle();
      const abort = (): void =>
        settle(new DiscoveryError('ABORTED', `the call to ${this.service} was aborted while it waited for its turn`));
      if (waitMs > 0) {
        timer = this.clock.setTimer(() => settle(this.full(`no call ended within ${waitMs} ms`)), waitMs);
      }
      signal?.addEventListener('abort', abort);
      this.waiting.add(proceed);
    });
  }

  /** Ends a call: the one that has waited longest gets its place. */
  leave(): void {
    for (const next of this.waiting) {
      next();
      return;
    }
    this.active -= 1;
  }

  private full(reason: string): DiscoveryError {
    const { maxCalls } = this.options;
    return new DiscoveryError(
      'BULKHEAD_FULL',
      `${this.service} gets no more than ${maxCalls} calls at a time: ${reason}`,
      {
        service: this.service,
      },
    );
  }
}
