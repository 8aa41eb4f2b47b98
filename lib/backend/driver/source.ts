import type { DiscoveryError, DiscoveryErrorDetails } from '../../model/index.js';

/**
 * What changed since the last reading that ended well, as the source's events named it: `all` means read everything. With
 * a set, also an empty one, the rest still holds.
 */
export type Changed = ReadonlySet<string> | 'all';

/** One reading of a {@link PullSource}. */
export interface Reading<T> {
  /** `all` at first, when somebody refreshes, after a failure, and when `everyMs` is over. */
  readonly changed: Changed;
  /** What was last read. Given back (the same object) it means that there is no news. */
  readonly previous: T | undefined;
  /** Aborts when the feed closes, the time is up, or a reading that waits is broken off: what it brings is then ignored. */
  readonly signal: AbortSignal;
}

interface Source<T> {
  /** For messages: `the instances of ORDERS`. */
  readonly what: string;
  /** Facts for the errors that the feed makes. */
  readonly details?: DiscoveryErrorDetails | undefined;
  /**
   * `previous`, or `next` with those parts of `previous` that are equal. Identity and "no news" are decided here and
   * nowhere else. @default `next`
   */
  keep?(previous: T, next: T): T;
  /** A reading, or a refresh, that takes longer has failed, in milliseconds. @default no limit: it ends by itself */
  readonly timeoutMs?: number | undefined;
}

/**
 * Something that is read. The feed decides when: at first, when the source says `again`, when somebody refreshes, when
 * time is up, and after failures until one reading ends well.
 */
export interface PullSource<T> extends Source<T> {
  /**
   * Reads what changed. Never two at a time, but for one that goes on though its signal has aborted: it is given a time
   * limit and then left behind. A cursor that it keeps must not move before everything has succeeded.
   */
  read(reading: Reading<T>): Promise<T>;
  /**
   * Begins to listen to the product; returns how to end that, and `close()` awaits what it gives. `again` asks for a
   * reading, of all or of what `hint` names. `failed` tells of an outage that no reading would find; it is over with the
   * next reading that ends well, and that one must be asked for by `again`.
   */
  follow?(events: { again(hint?: string): void; failed(error: unknown): void }): () => unknown;
  /** Everything is read again this often, in milliseconds, shortened by chance by up to a tenth. @default never */
  readonly everyMs?: number | undefined;
  /** Milliseconds to the next reading without any change, for what changes by time alone; asked anew each time. */
  readonly tickMs?: () => number;
  /** Events are gathered this long before they are followed, in milliseconds. @default 0 */
  readonly gatherMs?: number | undefined;
  /**
   * A long poll: a reading that isn't of `all` waits at the server until there is news, and the next one follows at
   * once, as long as they come no faster than a burst and then one in an interval. An event and a refresh break the
   * waiting off. One that fails is no failure yet: a reading of `all` follows at once, and its outcome counts.
   */
  readonly waits?: { readonly burst: number; readonly intervalMs: number } | undefined;
  /** Ceilings of the pauses after failures, in milliseconds; an event or a refresh comes sooner. */
  readonly retry?: { readonly initialMs: number; readonly maxMs: number } | undefined;
}

/**
 * Something that tells by itself, and tries again by itself: a subscription, a poll that is shared by many. It has one
 * mouth, `value`: were the answer of a refresh returned instead, a push could land between the answer and its delivery and
 * be overwritten by the older list, for good.
 */
export interface PushSource<T> extends Source<T> {
  /** Begins; both events may be told while it runs. Returns how to end it, and `close()` awaits what that gives. */
  follow(events: { value(value: T): void; failed(error: unknown): void }): () => unknown;
  /** Asks the server now. Resolves when `value` was told the answer, or when the answer is what was told last. */
  refresh(signal: AbortSignal): Promise<void>;
  /** When it is read again, in milliseconds since the epoch, where it is read at intervals. */
  readAgainAt?(): number | undefined;
}

/** Where a feed gets its values: one that is read or one that tells, never a mixture. */
export type FeedSource<T> = PullSource<T> | PushSource<T>;

/** What a feed says: a value, or that it could not be had. */
export type FeedReport<T> =
  { readonly value: T; readonly error?: undefined } | { readonly error: DiscoveryError; readonly value?: undefined };

/** Another kind of value of the same source; `change` is asked once for each value. */
export function mapped<T, R>(source: PullSource<T>, change: (value: T) => R): PullSource<R> {
  let last: { readonly from: T; readonly to: R } | undefined;
  const { read, keep, ...rest } = source;
  return {
    ...rest,
    read: async ({ changed, signal }) => {
      const value = await read.call(source, { changed, previous: last?.from, signal });
      const from = last === undefined || keep === undefined ? value : keep.call(source, last.from, value);
      if (last === undefined || last.from !== from) last = { from, to: change(from) };
      return last.to;
    },
  };
}
