import { DiscoveryError } from '../../model/index.js';
import { Backoff, type BackoffOptions } from './backoff.js';
import { sleep } from './system-clock.js';
import type { Clock } from '../port/clock.js';
import { withDeadline } from './deadline.js';

/** A task that runs again and again. */
export interface PeriodicTaskOptions {
  readonly clock: Clock;
  /** What the task is, for error messages: `the heartbeat of ORDERS`. */
  readonly what: string;
  /** Milliseconds from the end of a run to the start of the next; asked anew every time. */
  readonly intervalMs: () => number;
  /** A run that takes longer is aborted and counts as failed, in milliseconds. @default the interval */
  readonly timeoutMs?: () => number;
  /** After a failure it waits by this backoff instead, until a run succeeds. @default the interval, as always */
  readonly retry?: Omit<BackoffOptions, 'clock' | 'random'>;
  /** Each interval is shortened by a random part of at most this share; 0: it is exact. @default 0.1 */
  readonly jitter?: number;
  /** @default Math.random */
  readonly random?: () => number;
  /**
   * One run. It must end soon after its signal aborts: one that doesn't is left behind, and would meet the next one.
   */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Hears of every failed run. */
  readonly onError: (error: unknown) => void;
}

/** Runs a task at an interval. A run never overlaps another: one that is too slow is timed out. */
export class PeriodicTask {
  private readonly stopping = new AbortController();
  private wake = new AbortController();
  private loop: Promise<void> | undefined;
  private readonly backoff: Backoff | undefined;
  private waiters: ((error: unknown) => void)[] = [];
  private triggered = false;
  private failed = false;
  private sleepsUntil: number | undefined;
  private running: { readonly ended: Promise<void>; readonly timeoutMs: number } | undefined;

  constructor(private readonly options: PeriodicTaskOptions) {
    const { retry, clock, random = Math.random } = options;
    this.backoff = retry && new Backoff({ ...retry, clock, random });
  }

  /** When the next run begins by itself, in milliseconds since the epoch; undefined while one is going on. */
  get nextRunAt(): number | undefined {
    return this.sleepsUntil;
  }

  /** Starts it: the first run comes at once, or after one interval. Starting again does nothing. */
  start(first: 'now' | 'after-interval'): void {
    if (this.stopping.signal.aborted) return;
    this.loop ??= this.runForever(first === 'now');
  }

  /**
   * Asks for a run as soon as possible, shared by everybody who asks before it starts; resolves when it succeeded.
   */
  trigger(): Promise<void> {
    if (this.stopping.signal.aborted) return Promise.reject(this.stopped());
    this.triggered = true;
    this.wake.abort();
    return new Promise((resolve, reject) => {
      this.waiters.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** Ends it; resolves when no run is going on any more (one that ignores its signal is given its time limit). */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake.abort();
    await this.loop;
    this.settle(this.waiters.splice(0), this.stopped());
    await this.lastRun();
  }

  private async runForever(now: boolean): Promise<void> {
    let skipSleep = now;
    while (!this.stopping.signal.aborted) {
      if (!skipSleep && !this.triggered) await this.sleep();
      skipSleep = false;
      if (this.stopping.signal.aborted) return;
      this.wake = new AbortController();
      this.triggered = false;
      await this.runOnce();
    }
  }

  private async runOnce(): Promise<void> {
    const waiters = this.waiters.splice(0);
    const { clock, what, run } = this.options;
    const timeoutMs = this.options.timeoutMs?.() ?? this.options.intervalMs();
    try {
      await withDeadline(clock, timeoutMs, this.stopping.signal, what, (signal) => {
        const running = run(signal);
        this.running = { ended: running.catch(() => {}), timeoutMs };
        return running;
      });
      this.failed = false;
      this.backoff?.reset();
      this.settle(waiters, undefined);
    } catch (error) {
      this.failed = true;
      if (!this.stopping.signal.aborted) this.options.onError(error);
      this.settle(waiters, error);
    }
  }

  private async lastRun(): Promise<void> {
    const { clock, what } = this.options;
    const { running } = this;
    if (running === undefined) return;
    await withDeadline(clock, running.timeoutMs, undefined, what, () => running.ended).catch(() => {});
  }

  private stopped(): DiscoveryError {
    return new DiscoveryError('ABORTED', `${this.options.what} was stopped`);
  }

  private async sleep(): Promise<void> {
    const { clock } = this.options;
    const delay = this.delay();
    this.sleepsUntil = clock.now() + delay;
    await sleep(clock, delay, this.wake.signal);
    this.sleepsUntil = undefined;
  }

  private delay(): number {
    if (this.failed && this.backoff !== undefined) return this.backoff.next();
    const jitter = (this.options.random ?? Math.random)() * (this.options.jitter ?? 0.1);
    return this.options.intervalMs() * (1 - jitter);
  }

  private settle(waiters: readonly ((error: unknown) => void)[], error: unknown): void {
    for (const waiter of waiters) waiter(error);
  }
}
