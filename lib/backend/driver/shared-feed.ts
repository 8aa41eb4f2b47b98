import { abandonOnAbort } from '../machinery/deadline.js';
import type { Watch } from '../port/discovery-driver.js';
import type { FeedReport, PushSource } from './source.js';

/**
 * One feed for many: opened with the first that follows, closed with the last that leaves. Each takes of its values what
 * concerns it.
 */
export class SharedFeed<T> {
  private readonly members = new Set<(word: FeedReport<T>) => void>();
  private feed: Watch | undefined;
  private last: FeedReport<T> | undefined;

  /** @param open opens the one feed, which may report at once */
  constructor(private readonly open: (report: (report: FeedReport<T>) => void) => Watch) {}

  /** What it said last; undefined before its first word, and while nobody follows. */
  get current(): FeedReport<T> | undefined {
    return this.last;
  }

  /** Asks anew; who follows was told of the answer when it resolves. Nothing happens while nobody follows. */
  async refresh(): Promise<void> {
    await this.feed?.refresh();
  }

  /**
   * A source that tells what `select` takes of each value; the same object as before when it isn't concerned.
   */
  source<R>(source: Omit<PushSource<R>, 'follow' | 'refresh'>, select: (value: T) => R): PushSource<R> {
    return {
      ...source,
      follow: ({ value, failed }) =>
        this.join((word) => (word.error === undefined ? value(select(word.value)) : failed(word.error))),
      // Others may wait for the same answer.
      refresh: (signal) => abandonOnAbort(this.refresh(), signal, source.what),
    };
  }

  /**
   * Follows; what is known already is told at once, and in an outage the feed asks anew, as one that is opened would.
   * Returns how to leave, which resolves when nothing is open for it.
   */
  join(listener: (word: FeedReport<T>) => void): () => Promise<void> {
    // Of its own, so that one function may join twice.
    const member = (word: FeedReport<T>): void => listener(word);
    this.members.add(member);
    if (this.feed === undefined) {
      this.feed = this.open((word) => {
        this.last = word;
        for (const one of this.members) one(word);
      });
    } else if (this.last !== undefined) {
      member(this.last);
      // Told to all by the feed.
      if (this.last.error !== undefined) this.refresh().catch(() => {});
    }
    return async () => {
      if (!this.members.delete(member) || this.members.size > 0) return;
      const { feed } = this;
      this.feed = undefined;
      this.last = undefined;
      await feed?.close();
    };
  }
}
