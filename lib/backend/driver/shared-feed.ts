import type { DiscoveryError } from '../../model/index.js';
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
  private known: { readonly value: T } | undefined;
  private failure: DiscoveryError | undefined;

  /**
   * @param open opens the one feed, which may report at once
   * @param onIdle told when the last has left
   */
  constructor(
    private readonly open: (report: (report: FeedReport<T>) => void) => Watch,
    private readonly onIdle: () => void = () => {},
  ) {}

  /** The last value, kept through errors; undefined before the first, and while nobody follows. */
  get value(): T | undefined {
    return this.known?.value;
  }

  /** Why there is no newer one. */
  get error(): DiscoveryError | undefined {
    return this.failure;
  }

  /** Asks anew; who follows was told of the answer when it resolves. Nothing happens while nobody follows. */
  async refresh(): Promise<void> {
    await this.feed?.refresh();
  }

  /** A source that tells what `select` takes of each value. */
  source<R>(what: string, select: (value: T) => R): PushSource<R> {
    return {
      what,
      follow: ({ value, failed }) =>
        this.join((word) => (word.error === undefined ? value(select(word.value)) : failed(word.error))),
      // Others may wait for the same answer.
      refresh: (signal) => abandonOnAbort(this.refresh(), signal, what),
      readAgainAt: () => this.feed?.readAgainAt,
    };
  }

  /**
   * Follows; what is known already is told at once, and in an outage the feed asks anew, as one that is opened would.
   * Returns how to leave, which resolves when nothing is open for it.
   */
  join(listener: (word: FeedReport<T>) => void = () => {}): () => Promise<void> {
    // Of its own, so that one function may join twice.
    const member = (word: FeedReport<T>): void => listener(word);
    this.members.add(member);
    if (this.feed === undefined) this.feed = this.open((word) => this.hear(word));
    else if (this.failure !== undefined) {
      member({ error: this.failure });
      // Told to all by the feed.
      this.refresh().catch(() => {});
    } else if (this.known !== undefined) member(this.known);
    return async () => {
      if (!this.members.delete(member) || this.members.size > 0) return;
      const { feed } = this;
      this.feed = undefined;
      this.known = undefined;
      this.failure = undefined;
      this.onIdle();
      await feed?.close();
    };
  }

  private hear(word: FeedReport<T>): void {
    this.failure = word.error;
    if (word.error === undefined) this.known = { value: word.value };
    for (const member of Array.from(this.members)) member(word);
  }
}
