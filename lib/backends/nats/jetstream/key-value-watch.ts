import { WatchLoop, withDeadline } from '../../../backend/index.js';
import { DiscoveryError, toDiscoveryError } from '../../../model/index.js';
import { isJetStreamError, JS_ERROR } from './api.js';
import type { KeyValueBucket } from './key-value.js';
import { assertKey, type KeyValueEntry } from './key-value.codec.js';
import { consume, type ConsumerStart } from './ordered-consumer.js';

/** What is to be watched, and who is told. */
export interface KeyValueWatchOptions {
  /** Patterns of keys: `*` for one token, `>` for all that follow. @default ['>'] */
  readonly filters?: readonly string[];
  /**
   * - `last`: the newest revision of each key, then every change; after an interruption again from the start, as a new
   *   complete set, since deletions may have been missed;
   * - `all`: every revision that is kept, then every change; goes on after an interruption where it was;
   * - `new`: changes only, with the same continuation.
   * @default 'last'
   */
  readonly include?: 'last' | 'all' | 'new';
  /** Leave the values out. @default false */
  readonly headersOnly?: boolean;
  /** Milliseconds between the server's signs of life. @default 2000 */
  readonly heartbeatMs?: number;
  /** Takes the complete initial set, deletions included; with `last` again after every interruption. */
  readonly onInitial: (entries: readonly KeyValueEntry[]) => void;
  /** Takes every later entry, in order. */
  readonly onEntry: (entry: KeyValueEntry) => void;
  /** Hears why the watch was interrupted; it goes on by itself. */
  readonly onError: (error: DiscoveryError) => void;
  /** @default Math.random */
  readonly random?: () => number;
}

/** The oldest server that takes several filters for one consumer. */
const SEVERAL_FILTERS = [2, 10] as const;

/**
 * A watch of a bucket that lasts until it is closed: a new consumer whenever the server, the connection or the bucket
 * was lost, the old one removed.
 */
export class KeyValueWatch {
  private readonly loop: WatchLoop;
  private readonly leaveState: () => void;
  private lastRevision: number | undefined;
  private created: string | undefined;
  private told = false;
  private closed = false;

  constructor(
    private readonly bucket: KeyValueBucket,
    private readonly options: KeyValueWatchOptions,
  ) {
    for (const filter of options.filters ?? []) assertKey(filter, true);
    const { session } = bucket.api;
    this.loop = new WatchLoop({
      clock: bucket.clock,
      round: (signal) => this.round(signal),
      onError: (error) => this.failed(error),
      burst: 5,
      minIntervalMs: 200,
      backoff: { initialMs: 100, maxMs: 5000 },
      ...(options.random === undefined ? {} : { random: options.random }),
    });
    this.leaveState = session.state.subscribe(({ phase }) => {
      if (phase === 'connected') this.loop.again();
    });
    this.loop.start();
  }

  /** Reads the whole set again, as a new consumer does. */
  again(): void {
    this.lastRevision = undefined;
    this.loop.again();
  }

  /** Ends it; nothing is delivered after it resolved. Never rejects. */
  async close(): Promise<void> {
    this.closed = true;
    this.leaveState();
    await this.loop.close();
  }

  private async round(signal: AbortSignal): Promise<void> {
    const { bucket, options } = this;
    try {
      // Not the remembered one: a bucket that was lost must be found missing, and made again.
      bucket.forget();
      const status = await bucket.open(signal);
      const anew = this.created !== undefined && this.created !== status.created;
      if (anew) this.lastRevision = undefined;
      // Changes count from here on, also those before there is a consumer.
      if (this.options.include === 'new' && this.created === undefined) this.lastRevision = status.lastRevision;
      this.created = status.created;
      await consume(
        {
          bucket,
          status,
          filters: this.filters(),
          start: this.start(),
          headersOnly: options.headersOnly ?? false,
          heartbeatMs: options.heartbeatMs ?? 2000,
          random: options.random ?? Math.random,
          onInitial: (entries) => this.initial(entries),
          onEntry: (entry) => {
            if (this.closed) return;
            this.lastRevision = entry.revision;
            options.onEntry(entry);
          },
        },
        signal,
      );
    } catch (error) {
      if (isJetStreamError(error, JS_ERROR.streamNotFound)) bucket.forget();
      throw error;
    }
  }

  private initial(entries: readonly KeyValueEntry[]): void {
    if (this.closed) return;
    const { include = 'last', onInitial, onEntry } = this.options;
    const resumed = include !== 'last' && this.lastRevision !== undefined;
    const newest = Math.max(this.lastRevision ?? 0, ...entries.map((entry) => entry.revision));
    this.lastRevision = newest;
    if (!resumed) {
      this.told = true;
      return onInitial(entries);
    }
    if (!this.told) onInitial([]);
    this.told = true;
    for (const entry of entries) onEntry(entry);
  }

  private start(): ConsumerStart {
    const include = this.options.include ?? 'last';
    if (include === 'last') return 'last';
    // A bucket that was made anew counts from the beginning again: all of it is news.
    return this.lastRevision === undefined ? 'all' : { afterRevision: this.lastRevision };
  }

  private filters(): readonly string[] {
    const filters = this.options.filters ?? ['>'];
    if (filters.length <= 1) return filters;
    const [major = 0, minor = 0] = (this.bucket.api.session.connection.info?.version ?? '0.0').split('.').map(Number);
    const several = major > SEVERAL_FILTERS[0] || (major === SEVERAL_FILTERS[0] && minor >= SEVERAL_FILTERS[1]);
    return several ? filters : ['>'];
  }

  private failed(error: unknown): void {
    if (this.closed) return;
    const { bucket } = this.bucket;
    this.options.onError(toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `the bucket ${bucket} can't be watched`));
  }
}

/**
 * Reads what a bucket has at this moment, through a consumer of its own: the newest revision of each key, or with `all`
 * every revision that is kept, deletions included.
 */
export async function readAll(
  bucket: KeyValueBucket,
  filter: string,
  include: 'last' | 'all',
  options: { readonly headersOnly?: boolean; readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<readonly KeyValueEntry[]> {
  assertKey(filter, true);
  const timeoutMs = options.timeoutMs ?? 10_000;
  return withDeadline(bucket.clock, timeoutMs, options.signal, `reading ${bucket.bucket}`, (signal) =>
    bucket.withBucket(async (status) => {
      const done = new AbortController();
      const stop = (): void => done.abort();
      signal.addEventListener('abort', stop, { once: true });
      let found: readonly KeyValueEntry[] = [];
      try {
        await consume(
          {
            bucket,
            status,
            filters: [filter],
            start: include,
            headersOnly: options.headersOnly ?? false,
            heartbeatMs: 5000,
            random: Math.random,
            onInitial: (entries) => {
              found = entries;
              done.abort();
            },
            onEntry: () => {},
          },
          done.signal,
        );
      } catch (error) {
        // Read, and called off before the server's answer was: there is nothing to wait for.
        if (!done.signal.aborted || signal.aborted) throw error;
      } finally {
        signal.removeEventListener('abort', stop);
      }
      return found;
    }, signal),
  ).catch((error: unknown) => {
    if (error instanceof DiscoveryError && error.code === 'TIMEOUT') {
      throw new DiscoveryError('BACKEND_UNAVAILABLE', error.message, { cause: error });
    }
    throw error;
  });
}
