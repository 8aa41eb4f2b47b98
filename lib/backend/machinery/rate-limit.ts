import { sleep } from './system-clock.js';
import type { Clock } from '../port/clock.js';

/** Options of a {@link RateLimit}. */
export interface RateLimitOptions {
  readonly clock: Clock;
  /** Turns that may follow each other at once. @default 2 */
  readonly burst?: number;
  /** Beyond the burst, one turn in this time, in milliseconds. @default 1000 */
  readonly intervalMs?: number;
}

/** Gives out turns: a few at once, then one per interval. For one caller at a time. */
export class RateLimit {
  private readonly clock: Clock;
  private readonly burst: number;
  private readonly intervalMs: number;
  private turns: number;
  private refilledAt: number;

  constructor(options: RateLimitOptions) {
    this.clock = options.clock;
    this.burst = options.burst ?? 2;
    this.intervalMs = options.intervalMs ?? 1000;
    this.turns = this.burst;
    this.refilledAt = this.clock.now();
  }

  /** Waits for the next turn and takes it; resolves with false as soon as `signal` aborts. */
  async take(signal?: AbortSignal): Promise<boolean> {
    const now = this.clock.now();
    // A clock that was set back earns nothing, and costs nothing.
    const earned = this.intervalMs === 0 ? this.burst : Math.max(0, now - this.refilledAt) / this.intervalMs;
    this.turns = Math.min(this.burst, this.turns + earned);
    this.refilledAt = now;
    if (this.turns < 1) {
      if (!(await sleep(this.clock, (1 - this.turns) * this.intervalMs, signal))) return false;
      this.turns = 1;
      this.refilledAt = this.clock.now();
    }
    if (signal?.aborted === true) return false;
    this.turns -= 1;
    return true;
  }
}
