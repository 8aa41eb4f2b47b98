import { Backoff } from '../machinery/backoff.js';
import { withDeadline } from '../machinery/deadline.js';
import type { Feed, FeedHome } from './feed.js';
import { Outlet, Waiters } from './outlet.js';
import type { FeedReport, PushSource } from './source.js';

/** How long `close()` waits for a question that ignores its signal, in milliseconds. */
const STRAGGLER_MS = 5000;

/** A {@link PushSource} being watched: what it tells is passed on, and refreshes that come together are one question. */
export class PushFeed<T> implements Feed {
  private readonly outlet: Outlet<T>;
  private readonly waiters = new Waiters();
  private readonly ending = new AbortController();
  private readonly backoff: Backoff;
  private readonly unfollow: () => unknown;
  private asking: Promise<void> | undefined;
  /** The question that is under way, or was the last. */
  private running: Promise<unknown> | undefined;
  /** The source told of an outage: it will tell when that is over. */
  private outage = false;
  /** A question failed that the source knows nothing of: nobody would tell that all is well, so it is asked again. */
  private doubt = false;
  /** Ends the pause between two such questions. */
  private wake = new AbortController();
  private closing: Promise<void> | undefined;

  constructor(
    private readonly source: PushSource<T>,
    private readonly home: FeedHome,
    report: (report: FeedReport<T>) => void,
  ) {
    this.outlet = new Outlet(source, home, report);
    this.backoff = new Backoff({ clock: home.clock, random: () => home.random() });
    this.unfollow = source.follow({
      value: (value) => {
        if (this.ending.signal.aborted) return;
        this.outage = false;
        this.settled();
        void this.outlet.tell(value, false);
        home.onOutcome?.(undefined);
      },
      failed: (error) => {
        this.outage = true;
        this.settled();
        this.failed(error, false);
      },
    });
  }

  get readAgainAt(): number | undefined {
    return this.source.readAgainAt?.();
  }

  refresh(): Promise<void> {
    if (this.closing !== undefined) return Promise.reject(this.outlet.closedError());
    const answered = this.waiters.join();
    this.retry();
    this.asking ??= this.ask();
    return answered;
  }

  /** Nothing waits at the server. */
  recheck(): void {}

  retry(): void {
    this.wake.abort();
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private settled(): void {
    this.doubt = false;
    this.wake.abort();
  }

  private failed(error: unknown, asked: boolean): void {
    if (this.ending.signal.aborted) return;
    const failure = this.outlet.wrapped(error);
    void this.outlet.fail(failure, asked);
    this.home.onOutcome?.(failure);
  }

  /** Asks as long as somebody wants to know; who comes while a question is under way wants a later answer. */
  private async ask(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted && (this.waiters.waiting || this.doubt)) {
      const asked = this.waiters.take();
      const before = this.outlet.count;
      this.wake = new AbortController();
      try {
        await this.question(signal);
        this.doubt = false;
        this.backoff.reset();
        // What was told during the question isn't told twice.
        if (asked.waiting && this.outlet.count === before) void this.outlet.repeat();
        await this.outlet.delivered;
        asked.settle(signal.aborted ? this.outlet.closedError() : undefined);
      } catch (error) {
        if (this.outlet.count === before || this.outlet.error === undefined) this.failed(error, asked.waiting);
        this.doubt = !this.outage;
        await this.outlet.delivered;
        asked.settle(signal.aborted ? this.outlet.closedError() : this.outlet.wrapped(error));
        if (this.doubt && !this.waiters.waiting) await this.backoff.wait(this.wake.signal);
      }
    }
    this.asking = undefined;
  }

  private question(signal: AbortSignal): Promise<void> {
    const { what, timeoutMs } = this.source;
    return withDeadline(this.home.clock, timeoutMs, signal, what, (cut) => {
      const running = this.source.refresh(cut);
      this.running = running.catch(() => {});
      return running;
    });
  }

  private async end(): Promise<void> {
    this.outlet.close();
    this.ending.abort();
    const unfollowed = (async () => this.unfollow())();
    this.settled();
    this.waiters.take().settle(this.outlet.closedError());
    const { clock } = this.home;
    const straggler = withDeadline(clock, STRAGGLER_MS, undefined, this.source.what, async () => this.running);
    await Promise.allSettled([unfollowed, this.asking, straggler]);
    this.home.onClosed?.();
  }
}
