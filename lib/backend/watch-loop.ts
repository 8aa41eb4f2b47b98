import { Backoff } from './backoff.js';
import { sleep, type Clock } from './clock.js';

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
  private readonly burst: number;
  private readonly minIntervalMs: number;
  private tokens: number;
  private refilledAt: number;

  constructor(private readonly options: WatchLoopOptions) {
    this.burst = options.burst ?? 2;
    this.minIntervalMs = options.minIntervalMs ?? 1000;
    this.tokens = this.burst;
    this.refilledAt = options.clock.now();
    this.backoff = new Backoff({
      clock: options.clock,
      ...options.backoff,
      ...(options.random === undefined ? {} : { random: options.random }),
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
    while (!this.closing.signal.aborted) {
      if (this.restart.signal.aborted) this.restart = new AbortController();
      const { signal } = this.restart;
      if (!(await this.takeToken())) return;
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

  /** Waits for this round's turn; a restart doesn't shorten that. Resolves with false when the loop was closed. */
  private async takeToken(): Promise<boolean> {
    const now = this.options.clock.now();
    const earned = this.minIntervalMs === 0 ? this.burst : (now - this.refilledAt) / this.minIntervalMs;
    this.tokens = Math.min(this.burst, this.tokens + earned);
    this.refilledAt = now;
    if (this.tokens < 1) {
      await sleep(this.options.clock, (1 - this.tokens) * this.minIntervalMs, this.closing.signal);
      this.tokens = 1;
      this.refilledAt = this.options.clock.now();
    }
    this.tokens -= 1;
    return !this.closing.signal.aborted;
  }
}
