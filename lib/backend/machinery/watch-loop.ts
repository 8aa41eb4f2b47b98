import { Backoff } from './backoff.js';
import type { Clock } from '../port/clock.js';
import { defined } from '../../model/index.js';
import { RateLimit } from './rate-limit.js';

/** Options of a {@link WatchLoop}. */
export interface WatchLoopOptions {
  readonly clock: Clock;
  /**
   * One round: ask (perhaps waiting long at the server) and deal with the answer. Its signal aborts when the loop is
   * restarted or closed; what it then rejects with is ignored.
   */
  readonly round: (signal: AbortSignal) => Promise<void>;
  /** Hears of every failed round; the next one follows after a backoff. */
  readonly onError: (error: unknown) => void;
  /** Rounds that may follow each other at once. @default 2 */
  readonly burst?: number;
  /** Beyond the burst, at least this long from the start of one round to the start of the next, in ms. @default 1000 */
  readonly minIntervalMs?: number;
  readonly backoff?: { readonly initialMs?: number; readonly maxMs?: number };
  /** @default Math.random */
  readonly random?: () => number;
}

/**
 * Asks the same question for ever: the loop of long polls and blocking queries. A server that answers at once, a
 * thousand times in a row, gets a bounded number of requests; one that fails gets the next after a backoff.
 */
export class WatchLoop {
  private readonly closing = new AbortController();
  private restart = new AbortController();
  private readonly backoff: Backoff;
  private loop: Promise<void> | undefined;
  private readonly rate: RateLimit;

  constructor(private readonly options: WatchLoopOptions) {
    this.rate = new RateLimit({
      clock: options.clock,
      ...defined({ burst: options.burst, intervalMs: options.minIntervalMs }),
    });
    this.backoff = new Backoff({
      clock: options.clock,
      ...options.backoff,
      ...defined({ random: options.random }),
    });
  }

  /** Begins; again does nothing. */
  start(): void {
    this.loop ??= this.runForever();
  }

  /** Breaks the present round or wait off, and begins the next round. */
  again(): void {
    this.restart.abort();
  }

  /** Ends it; resolves when no round is going on any more. */
  async close(): Promise<void> {
    this.closing.abort();
    this.restart.abort();
    await this.loop;
  }

  private async runForever(): Promise<void> {
    // A restart doesn't shorten the wait for the turn; one that comes meanwhile is done with by the round that follows.
    while (await this.rate.take(this.closing.signal)) {
      // Closed in the moment between the turn and here: a new signal would never abort.
      if (this.closing.signal.aborted) return;
      if (this.restart.signal.aborted) this.restart = new AbortController();
      const { signal } = this.restart;
      try {
        await this.options.round(signal);
        this.backoff.reset();
      } catch (error) {
        if (signal.aborted) continue;
        this.options.onError(error);
        await this.backoff.wait(signal);
      }
    }
  }
}
