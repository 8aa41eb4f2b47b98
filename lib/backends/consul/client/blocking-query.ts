import type { PullSource } from '../../../backend/index.js';
import type { DiscoveryError } from '../../../model/index.js';
import type { Answer, ConsulMeta } from './meta.js';
import type { ReadOptions } from './requests.js';

/** How a watch asks. */
export interface WatchSettings {
  /** How long the server is to wait for a change, in milliseconds. */
  readonly waitMs: number;
  /** Questions that may follow each other at once. */
  readonly burst: number;
  /** Beyond the burst, at least this long from one question to the next, in milliseconds. */
  readonly minIntervalMs: number;
  /** Longest pause after failures, in milliseconds. */
  readonly maxBackoffMs: number;
}

/** What a watch says: a value, or that it could not be had. */
export type WatchReport<V> =
  | { readonly value: V; readonly meta: ConsulMeta; readonly error?: undefined }
  | { readonly error: DiscoveryError; readonly value?: undefined; readonly meta?: undefined };

/** What a {@link blockingSource} needs. */
export interface BlockingQueryOptions<T, V> {
  /** For messages: `the instances of ORDERS`. */
  readonly what: string;
  readonly settings: WatchSettings;
  readonly budget: WatchBudget;
  /** One read. */
  readonly ask: (options: Pick<ReadOptions, 'watch' | 'signal'>) => Promise<Answer<T>>;
  /** Whether a blocking answer must be confirmed by a full read. */
  readonly suspect?: (value: T, meta: ConsulMeta) => boolean;
  /**
   * Makes of an answer what is told, given what was last told; `previous` itself when it is the same. Throws when the
   * answer can't be believed.
   */
  readonly decode: (value: T, meta: ConsulMeta, previous: V | undefined) => V | Promise<V>;
}

/**
 * One question asked for ever, each time from the index of the last answer, by the rules for blocking queries: an index
 * that went back or an error means to begin anew with a full read; index 0 counts as 1; an index that stayed is no news,
 * and neither is an answer with the same content. Whatever comes back, the next question follows within a rate.
 */
export function blockingSource<T, V>(options: BlockingQueryOptions<T, V>): PullSource<V> {
  const { what, settings, budget, ask, suspect, decode } = options;
  let index: string | undefined;
  return {
    what,
    waits: { burst: settings.burst, intervalMs: settings.minIntervalMs },
    retry: { initialMs: Math.min(500, settings.maxBackoffMs), maxMs: settings.maxBackoffMs },
    follow: ({ again }) => {
      const member = { rebalance: () => again('wait') };
      budget.add(member);
      return () => budget.remove(member);
    },
    read: async ({ changed, previous, signal }) => {
      const from = changed === 'all' ? undefined : index;
      const watch = from === undefined ? {} : { watch: [from, budget.waitMs(settings.waitMs)] as const };
      let [value, meta] = await ask({ ...watch, signal });
      if (from !== undefined && suspect?.(value, meta) === true) [value, meta] = await ask({ signal });
      const unchanged = from !== undefined && meta.Index === from && previous !== undefined;
      const next = unchanged ? previous : await decode(value, meta, previous);
      // Last: what could not be decoded, or was broken off, must be asked for again.
      if (!signal.aborted) index = nextIndex(from, meta.Index);
      return next;
    },
  };
}

/**
 * The index to ask from after an answer.
 *
 * @param previous the index that was asked from, or undefined for a full read
 * @returns undefined when the next read must be a full one, because the index went back
 */
export function nextIndex(previous: string | undefined, answered: string): string | undefined {
  const next = answered === '0' ? '1' : answered;
  return previous !== undefined && BigInt(next) < BigInt(previous) ? undefined : next;
}

/** With more watches than connections, each gets its turn about this often, in milliseconds. */
const TURN_MS = 10_000;

/** The watches of a client, and the connections that they share. */
export class WatchBudget {
  private readonly watches = new Set<{ rebalance(): void }>();

  constructor(
    private readonly connections: number,
    private readonly onExceeded: (watches: number) => void,
  ) {}

  /** How many are open. */
  get size(): number {
    return this.watches.size;
  }

  add(watch: { rebalance(): void }): void {
    this.watches.add(watch);
    if (this.watches.size !== this.connections + 1) return;
    this.onExceeded(this.watches.size);
    // Those that hold a connection for long must let the others have it.
    for (const other of this.watches) if (other !== watch) other.rebalance();
  }

  remove(watch: { rebalance(): void }): void {
    this.watches.delete(watch);
  }

  /** How long a question may wait at the server: as asked, or less when there are more watches than connections. */
  waitMs(asked: number): number {
    if (this.watches.size <= this.connections) return asked;
    return Math.max(1000, Math.min(asked, (TURN_MS * this.connections) / this.watches.size));
  }
}
