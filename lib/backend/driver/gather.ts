import { DiscoveryError, toDiscoveryError, type DiscoveryErrorDetails } from '../../model/index.js';
import type { Timer } from '../port/clock.js';
import type { Watch } from '../port/discovery-driver.js';
import type { FeedHome } from './feed.js';
import { Outlet } from './outlet.js';
import type { FeedReport, FeedSource } from './source.js';

/** What one source of a {@link Gathering} said last: a value stays known through errors. */
export interface Part<T> {
  readonly value?: T | undefined;
  readonly error?: DiscoveryError | undefined;
}

/** Several sources told of as one: datacentres, the documents of a scope, the ways to find an instance. */
export interface Gathering<T, R> {
  /** For messages, as that of a source. */
  readonly what: string;
  readonly details?: DiscoveryErrorDetails | undefined;
  readonly sources: readonly FeedSource<T>[];
  /**
   * What is to be told of what the parts said; undefined: nothing yet. What it throws is told as the failure.
   * {@link allOf} serves when every part is needed.
   */
  combine(parts: readonly Part<T>[]): R | undefined;
  /** As that of a source, of what `combine` made. */
  keep?(previous: R, next: R): R;
  /**
   * When one part has a value, the first report waits this long for the others, in milliseconds. Until then, and until all
   * have spoken, nothing is combined. @default combined from the first word on
   */
  readonly patienceMs?: number | undefined;
  /** Told of each word of each part, before it is combined. */
  heard?(report: FeedReport<T>, parts: readonly Part<T>[]): void;
}

/**
 * The values of all parts; undefined as long as one has said nothing.
 * @throws DiscoveryError the first part's error
 */
export function allOf<T>(parts: readonly Part<T>[]): readonly T[] | undefined {
  const values: T[] = [];
  for (const { error } of parts) if (error !== undefined) throw error;
  for (const { value } of parts) {
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

/** A {@link Gathering} being watched. */
export class GatheredFeed<T, R> implements Watch {
  private readonly outlet: Outlet<R>;
  private readonly parts: Part<T>[];
  private readonly feeds: readonly Watch[];
  /** Refreshes under way: what comes meanwhile is told once, at their end. */
  private refreshing = 0;
  private patience: Timer | undefined;
  private complete: boolean;
  private closing: Promise<void> | undefined;

  /** @param open makes the feed of one source */
  constructor(
    private readonly gathering: Gathering<T, R>,
    private readonly home: FeedHome,
    open: (source: FeedSource<T>, report: (report: FeedReport<T>) => void) => Watch,
    report: (report: FeedReport<R>) => void,
  ) {
    this.outlet = new Outlet(gathering, home, report);
    this.complete = gathering.patienceMs === undefined;
    this.parts = gathering.sources.map(() => ({}));
    this.feeds = gathering.sources.map((source, at) => open(source, (word) => this.hear(at, word)));
    // No part will ever speak.
    if (this.feeds.length === 0) void Promise.resolve().then(() => this.tell(false));
  }

  get readAgainAt(): number | undefined {
    return earliest(this.feeds.map((feed) => feed.readAgainAt));
  }

  async refresh(): Promise<void> {
    if (this.closing !== undefined) throw this.outlet.closedError();
    this.refreshing += 1;
    // Each failure is in its part, and combining decides whether it counts.
    await Promise.allSettled(this.feeds.map((feed) => feed.refresh()));
    this.refreshing -= 1;
    if (this.closing === undefined) {
      this.complete = true;
      await this.tell(true);
    }
    if (this.closing !== undefined) throw this.outlet.closedError();
    if (this.outlet.error !== undefined) throw this.outlet.error;
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private hear(at: number, word: FeedReport<T>): void {
    const { value } = this.parts[at] ?? {};
    this.parts[at] = word.error === undefined || value === undefined ? word : { value, error: word.error };
    this.gathering.heard?.(word, this.parts);
    this.complete ||= this.parts.every((part) => part.value !== undefined || part.error !== undefined);
    if (this.complete) this.patience?.cancel();
    else if (word.error === undefined) this.patience ??= this.wait();
    if (this.refreshing === 0) void this.tell(false);
  }

  private wait(): Timer {
    const end = (): void => {
      this.complete = true;
      if (this.refreshing === 0) void this.tell(false);
    };
    return this.home.clock.setTimer(end, this.gathering.patienceMs ?? 0);
  }

  private tell(asked: boolean): Promise<void> {
    if (!this.complete || this.closing !== undefined) return Promise.resolve();
    try {
      const combined = this.gathering.combine(this.parts);
      return combined === undefined ? Promise.resolve() : this.outlet.tell(combined, asked);
    } catch (error) {
      const { what } = this.gathering;
      return this.outlet.fail(toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} can't be read`), asked);
    }
  }

  private async end(): Promise<void> {
    this.outlet.close();
    this.patience?.cancel();
    await Promise.allSettled(this.feeds.map((feed) => feed.close()));
    this.home.onClosed?.();
  }
}

/** The first of several times, where there is one. */
export function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
