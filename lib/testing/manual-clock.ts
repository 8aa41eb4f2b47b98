import type { Clock, Timer } from '../backend/index.js';

/** More timers than this within one step means that one sets the next without any delay. */
const MAX_TIMERS_PER_STEP = 100_000;

// Taken at load, so that a test runner's own fake timers, switched on later, don't stop this clock.
const nextTurn = globalThis.setImmediate;

interface PendingTimer {
  readonly dueAt: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until it is told to go on, for tests of anything that takes a {@link Clock}: leases,
 * heartbeats, backoffs and time limits of minutes run in microseconds, and always the same way.
 *
 * ```ts
 * const clock = new ManualClock();
 * const lease = backend.registry.register(registration);
 * await clock.advance(30_000);         // every timer of these 30 seconds has fired, in order
 * expect(clock.pending).toBe(0);       // nothing was left behind
 * ```
 */
export class ManualClock implements Clock {
  private time: number;
  private counter = 0;
  private readonly timers = new Set<PendingTimer>();
  private steps: Promise<void> = Promise.resolve();

  /** @param startAt the time at the start, in milliseconds since the epoch. @default 2024-01-01T00:00:00Z */
  constructor(startAt: number = Date.UTC(2024, 0, 1)) {
    this.time = startAt;
  }

  /** How many timers wait. */
  get pending(): number {
    return this.timers.size;
  }

  /** When the next timer is due, in milliseconds since the epoch; undefined when none waits. */
  get nextDueAt(): number | undefined {
    return this.next()?.dueAt;
  }

  now(): number {
    return this.time;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    this.counter += 1;
    // As with Node's timers: no delay is negative, and NaN is none.
    const delay = delayMs > 0 ? delayMs : 0;
    const timer: PendingTimer = { dueAt: this.time + delay, order: this.counter, callback };
    this.timers.add(timer);
    return { cancel: () => void this.timers.delete(timer) };
  }

  /**
   * Moves the time on by `ms` milliseconds and fires every timer that becomes due on the way, in order and each at its
   * own time. Between two timers everything that waits for promises goes on, so a loop that awaits and then sets its
   * next timer runs as often as it would have. `advance(0)` fires what is due now. Calls made at the same time follow
   * each other.
   *
   * Operations of the real world (files, sockets) aren't waited for.
   *
   * @throws what a timer's callback throws; the time then stands at that timer
   */
  advance(ms: number): Promise<void> {
    if (!(ms >= 0))
      return Promise.reject(new RangeError(`ManualClock.advance needs 0 or more milliseconds, got ${ms}`));
    const step = this.steps.then(() => this.moveTo(this.time + ms));
    this.steps = step.catch(() => {});
    return step;
  }

  /** Lets everything that waits for promises go on, without moving the time and without firing a timer. */
  settle(): Promise<void> {
    return new Promise((resolve) => nextTurn(() => resolve()));
  }

  private async moveTo(target: number): Promise<void> {
    await this.settle();
    let fired = 0;
    for (let timer = this.next(); timer !== undefined && timer.dueAt <= target; timer = this.next()) {
      fired += 1;
      if (fired > MAX_TIMERS_PER_STEP) {
        throw new Error(
          `ManualClock.advance fired ${MAX_TIMERS_PER_STEP} timers in one step; does a timer set the next one without a delay?`,
        );
      }
      this.timers.delete(timer);
      this.time = Math.max(this.time, timer.dueAt);
      timer.callback();
      await this.settle();
    }
    this.time = target;
  }

  private next(): PendingTimer | undefined {
    let first: PendingTimer | undefined;
    for (const timer of this.timers) {
      if (
        first === undefined ||
        timer.dueAt < first.dueAt ||
        (timer.dueAt === first.dueAt && timer.order < first.order)
      ) {
        first = timer;
      }
    }
    return first;
  }
}
