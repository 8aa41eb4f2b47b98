import type { DiscoveryError } from '../../model/index.js';
import { Backoff } from '../machinery/backoff.js';
import { withDeadline } from '../machinery/deadline.js';
import { RateLimit } from '../machinery/rate-limit.js';
import { sleep } from '../machinery/system-clock.js';
import type { Feed, FeedHome } from './feed.js';
import { Outlet, Waiters } from './outlet.js';
import type { Changed, FeedReport, PullSource } from './source.js';

/** How long a reading that ignores its signal is waited for, in milliseconds, when the source sets no limit. */
const STRAGGLER_MS = 5000;

/**
 * A {@link PullSource} being watched. One loop: take what there is to do, read, tell, rest until there is more to do. What
 * comes while it reads (an event, a refresh, the end) is kept for the next turn, and nothing else ever reads.
 */
export class PullFeed<T> implements Feed {
  private readonly outlet: Outlet<T>;
  private readonly waiters = new Waiters();
  private readonly ending = new AbortController();
  private readonly backoff: Backoff;
  private readonly rate: RateLimit | undefined;
  /** Of long polls that are cut as soon as they are asked. */
  private readonly cuts: Backoff;
  /** The failure of a long poll that isn't confirmed yet. */
  private cutBy: DiscoveryError | undefined;
  /** Before the next long poll, in milliseconds. */
  private pauseMs = 0;
  private readonly unfollow: (() => unknown) | undefined;
  private readonly loop: Promise<void>;
  private closing: Promise<void> | undefined;
  /** What there is to do. */
  private everything = true;
  private hints = new Set<string>();
  /** When everything is to be read again. */
  private dueAt = Infinity;
  /** When the present rest ends by itself. */
  private restsUntil: number | undefined;
  /** Counts the outages that the source told of: a reading from before one doesn't say that it is over. */
  private outages = 0;
  /** Ends a rest. */
  private wake = new AbortController();
  /** Ends the gathering of events too. */
  private hurry = new AbortController();
  /** The reading that waits at the server, to be broken off. */
  private waiting: AbortController | undefined;
  /** The reading that is under way, or was the last. */
  private running: Promise<unknown> | undefined;

  constructor(
    private readonly source: PullSource<T>,
    private readonly home: FeedHome,
    report: (report: FeedReport<T>) => void,
  ) {
    const { clock } = home;
    this.outlet = new Outlet(source, home, report);
    this.backoff = new Backoff({ clock, random: () => home.random(), ...source.retry });
    this.cuts = new Backoff({ clock, random: () => home.random(), ...source.retry });
    this.rate = source.waits === undefined ? undefined : new RateLimit({ clock, ...source.waits });
    this.unfollow = source.follow?.({
      again: (hint) => this.again(hint),
      failed: (error) => {
        if (this.ending.signal.aborted) return;
        this.outages += 1;
        this.everything = true;
        void this.failed(error, false);
      },
    });
    // Not at once: a source may want its watch, which is still being made.
    this.loop = Promise.resolve().then(() => this.run());
  }

  get readAgainAt(): number | undefined {
    return this.restsUntil ?? (this.dueAt === Infinity ? undefined : this.dueAt);
  }

  refresh(): Promise<void> {
    if (this.closing !== undefined) return Promise.reject(this.outlet.closedError());
    const answered = this.waiters.join();
    this.everything = true;
    this.hurry.abort();
    this.begin();
    return answered;
  }

  recheck(): void {
    // A full reading finds out by itself, and begun anew it would find out later; so does one that is tried again.
    if (this.waiting === undefined || this.outlet.error !== undefined) return;
    this.everything = true;
    this.begin();
  }

  retry(): void {
    if (this.outlet.error !== undefined) this.begin();
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private again(hint: string | undefined): void {
    if (hint === undefined) this.everything = true;
    else this.hints.add(hint);
    this.begin();
  }

  /** Has the next turn begin: the rest ends, and a reading that waits is broken off. */
  private begin(): void {
    this.wake.abort();
    this.waiting?.abort();
  }

  private async run(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      // An event doesn't shorten the wait for the turn; one that comes meanwhile is done with by the reading that follows.
      if (this.rate !== undefined) await this.rate.take(signal);
      await this.turn();
      await this.gather();
    }
  }

  /** Reads once, tells, and rests until there is more to do. */
  private async turn(): Promise<void> {
    const { signal } = this.ending;
    if (signal.aborted) return;
    this.wake = new AbortController();
    this.hurry = new AbortController();
    const asked = this.waiters.take();
    const changed = this.everything ? 'all' : this.hints;
    const { outages } = this;
    const beganAt = this.home.clock.now();
    this.everything = false;
    this.hints = new Set();
    if (changed === 'all') this.setDue();
    try {
      const value = await this.read(changed);
      if (outages !== this.outages) return this.waiters.add(asked);
      this.backoff.reset();
      if (this.waiting !== undefined) this.cuts.reset();
      this.home.onOutcome?.(undefined);
      if (this.cutBy !== undefined) this.home.onCut?.(this.cutBy);
      this.cutBy = undefined;
      await this.outlet.tell(value, asked.waiting);
      asked.settle(signal.aborted ? this.outlet.closedError() : undefined);
    } catch (error) {
      if (signal.aborted) return asked.settle(this.outlet.closedError());
      // Broken off: nothing failed, and nothing was read.
      if (changed !== 'all' && this.waiting?.signal.aborted === true) {
        for (const hint of changed) this.hints.add(hint);
        return;
      }
      // Something was missed, nobody knows what.
      this.everything = true;
      if (this.waiting !== undefined) return this.cut(error, this.home.clock.now() - beganAt);
      const pauseMs = this.backoff.next();
      // Who hears of the failure may ask for how long.
      this.restsUntil = this.home.clock.now() + pauseMs;
      asked.settle(await this.failed(error, asked.waiting));
      await this.sleep(pauseMs, this.wake.signal);
      return;
    } finally {
      this.waiting = undefined;
    }
    await this.rest();
  }

  /**
   * A long poll was cut, as proxies do when it lasts too long for them. Nobody hears of it: the full reading that follows at
   * once finds out whether the server is well. Where polls are cut as soon as they are asked, pauses keep it from that.
   */
  private cut(error: unknown, lastedMs: number): void {
    this.cutBy = this.outlet.wrapped(error);
    const intervalMs = this.source.waits?.intervalMs ?? 0;
    if (lastedMs < intervalMs) this.pauseMs = this.cuts.next();
    else this.cuts.reset();
  }

  private async read(changed: Changed): Promise<T> {
    const { source, home } = this;
    const cutting = new AbortController();
    const onEnd = (): void => cutting.abort();
    this.ending.signal.addEventListener('abort', onEnd, { once: true });
    if (source.waits !== undefined && changed !== 'all') this.waiting = cutting;
    // One that was given up may still go on.
    await this.straggler();
    try {
      return await withDeadline(home.clock, source.timeoutMs, cutting.signal, source.what, (signal) => {
        const reading = source.read({ changed, previous: this.outlet.value, signal });
        this.running = reading.catch(() => {});
        return reading;
      });
    } finally {
      this.ending.signal.removeEventListener('abort', onEnd);
    }
  }

  /** Until an event, a refresh, the next tick or the time for everything. */
  private async rest(): Promise<void> {
    const { clock } = this.home;
    const { everyMs, tickMs, waits } = this.source;
    // Then the server makes us wait.
    if (waits !== undefined) return this.pause();
    // At most the interval: a clock that was set back must not postpone it.
    const untilDue = Math.min(this.dueAt - clock.now(), everyMs ?? Infinity);
    const untilTick = tickMs?.() ?? Infinity;
    const restMs = Math.min(untilDue, untilTick);
    const { signal } = this.wake;
    if (restMs === Infinity) await aborted(signal);
    else if ((await this.sleep(restMs, signal)) && untilDue <= untilTick) this.everything = true;
  }

  private async sleep(restMs: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.home;
    this.restsUntil = clock.now() + restMs;
    const slept = await sleep(clock, restMs, signal);
    this.restsUntil = undefined;
    return slept;
  }

  private async pause(): Promise<void> {
    const { pauseMs } = this;
    this.pauseMs = 0;
    if (pauseMs > 0) await sleep(this.home.clock, pauseMs, this.wake.signal);
  }

  /** Events come in heaps: what comes within a moment is read together. */
  private async gather(): Promise<void> {
    const { gatherMs = 0 } = this.source;
    const events = this.wake.signal.aborted && !this.hurry.signal.aborted;
    if (events && gatherMs > 0) await sleep(this.home.clock, gatherMs, this.hurry.signal);
  }

  private setDue(): void {
    const { everyMs } = this.source;
    if (everyMs !== undefined) this.dueAt = this.home.clock.now() + everyMs * (1 - this.home.random() * 0.1);
  }

  private async failed(error: unknown, asked: boolean): Promise<DiscoveryError> {
    const failure = this.outlet.wrapped(error);
    this.cutBy = undefined;
    this.home.onOutcome?.(failure);
    await this.outlet.fail(failure, asked);
    return failure;
  }

  private async straggler(): Promise<void> {
    const { running } = this;
    const limitMs = this.source.timeoutMs ?? STRAGGLER_MS;
    if (running === undefined) return;
    await withDeadline(this.home.clock, limitMs, undefined, this.source.what, () => running).catch(() => {});
    this.running = undefined;
  }

  private async end(): Promise<void> {
    this.outlet.close();
    this.ending.abort();
    const unfollowed = (async () => this.unfollow?.())();
    this.hurry.abort();
    this.begin();
    this.waiters.take().settle(this.outlet.closedError());
    await Promise.allSettled([unfollowed, this.loop]);
    await this.straggler();
    this.home.onClosed?.();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
