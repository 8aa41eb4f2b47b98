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

  /** @param open opens the one feed */
  constructor(private readonly open: (report: (report: FeedReport<T>) => void) => Watch) {}

  /**
   * A source that tells what `select` takes of each value; the same object as before when it isn't concerned.
   */
  source<R>(source: Omit<PushSource<R>, 'follow' | 'refresh'>, select: (value: T) => R): PushSource<R> {
    return {
      ...source,
      follow: ({ value, failed }) =>
        this.join((word) => (word.error === undefined ? value(select(word.value)) : failed(word.error))),
      // Whoever was answered was told before.
      refresh: async () => this.feed?.refresh(),
    };
  }

  /** Follows; what is known already is told at once. Returns how to leave, which resolves when nothing is open for it. */
  join(listener: (word: FeedReport<T>) => void): () => Promise<void> {
    // Of its own, so that one function may join twice.
    const member = (word: FeedReport<T>): void => listener(word);
    this.members.add(member);
    if (this.feed === undefined) {
      this.feed = this.open((word) => {
        this.last = word;
        for (const one of this.members) one(word);
      });
    } else if (this.last !== undefined) member(this.last);
    return async () => {
      if (!this.members.delete(member) || this.members.size > 0) return;
      const { feed } = this;
      this.feed = undefined;
      this.last = undefined;
      await feed?.close();
    };
  }
}
