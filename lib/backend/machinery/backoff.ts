import { sleep } from './system-clock.js';
import type { Clock } from '../port/clock.js';

/** How long to wait between tries. */
export interface BackoffOptions {
  readonly clock: Clock;
  /** Ceiling of the first delay, in milliseconds. @default 500 */
  readonly initialMs?: number;
  /** Ceiling of all delays, in milliseconds. @default 30000 */
  readonly maxMs?: number;
  /** Growth of the ceiling from one delay to the next. @default 2 */
  readonly factor?: number;
  /** No delay is shorter, so that a lucky draw is no hot loop; in milliseconds. @default initialMs / 5 */
  readonly minMs?: number;
  /** @default Math.random */
  readonly random?: () => number;
}

/**
 * Exponential backoff with full jitter: each delay is drawn evenly between the floor and a ceiling that grows with every
 * failure, so that a thousand clients of a registry that came back do not arrive together. Owns its timer.
 */
export class Backoff {
  private failures = 0;
  private readonly initialMs: number;
  private readonly maxMs: number;
  private readonly factor: number;
  private readonly minMs: number;
  private readonly random: () => number;

  constructor(private readonly options: BackoffOptions) {
    this.initialMs = options.initialMs ?? 500;
    this.maxMs = options.maxMs ?? 30_000;
    this.factor = options.factor ?? 2;
    this.minMs = Math.min(options.minMs ?? this.initialMs / 5, this.maxMs);
    this.random = options.random ?? Math.random;
  }

  /** Failures since the last {@link reset}. */
  get attempts(): number {
    return this.failures;
  }

  /**
   * The next delay in milliseconds; counts as a failure.
   * @param atMostMs the ceiling of this one delay, where it is lower than it would be
   */
  next(atMostMs = Infinity): number {
    const floor = Math.min(this.minMs, atMostMs);
    const grown = this.initialMs * this.factor ** Math.min(this.failures, 64);
    const ceiling = Math.max(Math.min(this.maxMs, grown, atMostMs), floor);
    this.failures += 1;
    return floor + this.random() * (ceiling - floor);
  }

  /** Waits for the next delay; resolves with false as soon as `signal` aborts. */
  wait(signal?: AbortSignal, atMostMs?: number): Promise<boolean> {
    return sleep(this.options.clock, this.next(atMostMs), signal);
  }

  /** Begins anew, after a success. */
  reset(): void {
    this.failures = 0;
  }
}
