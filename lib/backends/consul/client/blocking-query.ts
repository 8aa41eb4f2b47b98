import { Reporter, WatchLoop, type Clock, type Watch } from '../../../backend/index.js';
import { DiscoveryError, messageOf, toDiscoveryError } from '../../../model/index.js';
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

/** What a {@link BlockingQuery} needs. */
export interface BlockingQueryOptions<T, V> {
  readonly clock: Clock;
  readonly random: () => number;
  /** For messages: `the instances of ORDERS`. */
  readonly what: string;
  readonly settings: WatchSettings;
  readonly budget: WatchBudget;
  /** One read. */
  readonly ask: (options: Pick<ReadOptions, 'watch' | 'signal'>) => Promise<Answer<T>>;
  /** Whether a blocking answer must be confirmed by a full read. */
  readonly suspect?: (value: T, meta: ConsulMeta) => boolean;
  /**
   * Makes of an answer what is reported, given what was last reported; `previous` itself when it is the same.
   * Throws when the answer can't be believed.
   */
  readonly decode: (value: T, meta: ConsulMeta, previous: V | undefined) => V | Promise<V>;
  readonly report: (report: WatchReport<V>) => void;
  /** Told of every round. */
  readonly onRound?: (error: DiscoveryError | undefined) => void;
  readonly onListenerError: (error: unknown) => void;
  readonly onClosed?: () => void;
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * One question asked for ever, each time from the index of the last answer, by the rules for blocking queries: an index
 * that went back or an error means to begin anew with a full read; index 0 counts as 1; an index that stayed is no news,
 * and neither is an answer with the same content. Whatever comes back, the next question follows within a rate.
 */
export class BlockingQuery<T, V> implements Watch {
  private readonly loop: WatchLoop;
  private readonly reporter: Reporter<WatchReport<V>>;
  private index: string | undefined;
  private last: { readonly value: V } | undefined;
  /** What was last reported, when that was an error. */
  private failure: DiscoveryError | undefined;
  private waiters: Waiter[] = [];
  private closing: Promise<void> | undefined;

  constructor(private readonly options: BlockingQueryOptions<T, V>) {
    const { clock, random, settings, report, onListenerError, budget } = options;
    this.reporter = new Reporter(report, onListenerError);
    this.loop = new WatchLoop({
      clock,
      random,
      round: (signal) => this.round(signal),
      onError: () => {},
      burst: settings.burst,
      minIntervalMs: settings.minIntervalMs,
      backoff: { initialMs: Math.min(500, settings.maxBackoffMs), maxMs: settings.maxBackoffMs },
    });
    budget.add(this);
    this.loop.start();
  }

  refresh(): Promise<void> {
    if (this.closing !== undefined) return Promise.reject(this.closedError());
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      this.loop.again();
    });
  }

  /** Asks at once whether all is as it was: something else found the server silent. */
  recheck(): void {
    if (this.failure !== undefined || this.closing !== undefined) return;
    // A full read is under way: it finds out by itself, and begun anew it would find out later.
    if (this.index === undefined) return;
    this.index = undefined;
    this.loop.again();
  }

  /** Begins the present question anew, with the wait that now holds. */
  rebalance(): void {
    this.loop.again();
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async round(signal: AbortSignal): Promise<void> {
    const { ask, budget, settings } = this.options;
    const waiters = this.waiters.splice(0);
    const index = waiters.length > 0 ? undefined : this.index;
    try {
      const watch = index === undefined ? {} : { watch: [index, budget.waitMs(settings.waitMs)] as const };
      let [value, meta] = await ask({ ...watch, signal });
      if (index !== undefined && this.options.suspect?.(value, meta) === true) [value, meta] = await ask({ signal });
      const unchanged = index !== undefined && meta.Index === index;
      this.index = nextIndex(index, meta.Index);
      if (!unchanged || this.last === undefined || this.failure !== undefined) {
        await this.take(value, meta, waiters.length > 0);
      }
      this.options.onRound?.(undefined);
      for (const waiter of waiters) waiter.resolve();
    } catch (error) {
      if (signal.aborted) {
        if (this.closing === undefined) this.waiters.unshift(...waiters);
        else for (const waiter of waiters) waiter.reject(this.closedError());
        throw error;
      }
      const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.options.what} can't be read`, {
        backend: 'consul',
      });
      this.index = undefined;
      this.options.onRound?.(failure);
      const news = this.failure === undefined || messageOf(this.failure) !== failure.message || waiters.length > 0;
      this.failure = failure;
      if (news) await this.reporter.send({ error: failure });
      for (const waiter of waiters) waiter.reject(failure);
      throw failure;
    }
  }

  private async take(value: T, meta: ConsulMeta, asked: boolean): Promise<void> {
    const next = await this.options.decode(value, meta, this.last?.value);
    const news = this.last === undefined || next !== this.last.value || this.failure !== undefined;
    this.last = { value: next };
    this.failure = undefined;
    if (news || asked) await this.reporter.send({ value: next, meta });
  }

  private async shutDown(): Promise<void> {
    this.reporter.close();
    this.options.budget.remove(this);
    await this.loop.close();
    for (const waiter of this.waiters.splice(0)) waiter.reject(this.closedError());
    this.options.onClosed?.();
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', `the watch of ${this.options.what} was closed`, { backend: 'consul' });
  }
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
