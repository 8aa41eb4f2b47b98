import { DiscoveryError, toDiscoveryError } from '../../model/index.js';
import type { FeedHome } from './feed.js';
import type { FeedReport, FeedSource } from './source.js';
import { Reporter } from './reporter.js';

/** What an outlet knows of its source. */
type OutletSource<T> = Pick<FeedSource<T>, 'what' | 'details' | 'keep'>;

/**
 * What a feed has told, and whether what comes is news: a value that is another than the one before, an error that
 * doesn't repeat the one before, the value after an error, and whatever somebody asked for.
 */
export class Outlet<T> {
  private readonly reporter: Reporter<FeedReport<T>>;
  /** The last value, kept through errors. */
  private known: { readonly value: T } | undefined;
  private failure: DiscoveryError | undefined;
  private sent = 0;
  private delivery: Promise<void> = Promise.resolve();

  constructor(
    private readonly source: OutletSource<T>,
    private readonly home: Pick<FeedHome, 'backend' | 'onListenerError'>,
    report: (report: FeedReport<T>) => void,
  ) {
    this.reporter = new Reporter(report, (error) => home.onListenerError(error));
  }

  /** The last value. */
  get value(): T | undefined {
    return this.known?.value;
  }

  /** Why there is no newer one. */
  get error(): DiscoveryError | undefined {
    return this.failure;
  }

  /** How many reports were sent. */
  get count(): number {
    return this.sent;
  }

  /** Resolves when all that was sent was delivered. */
  get delivered(): Promise<void> {
    return this.delivery;
  }

  /** Tells a value if it is news or `asked` for; resolves when it was delivered. */
  tell(value: T, asked: boolean): Promise<void> {
    const { known, failure } = this;
    const next = known === undefined ? value : (this.source.keep?.(known.value, value) ?? value);
    this.known = { value: next };
    this.failure = undefined;
    const news = known === undefined || failure !== undefined || next !== known.value;
    return news || asked ? this.send({ value: next }) : Promise.resolve();
  }

  /** Tells a failure if it is news or `asked` for; resolves when it was delivered. */
  fail(error: DiscoveryError, asked: boolean): Promise<void> {
    const news = this.failure?.message !== error.message;
    this.failure = error;
    return news || asked ? this.send({ error }) : Promise.resolve();
  }

  /** Tells the last value again; it was confirmed. */
  repeat(): Promise<void> {
    if (this.known === undefined) return Promise.resolve();
    this.failure = undefined;
    return this.send({ value: this.known.value });
  }

  /** From now on nothing is told. */
  close(): void {
    this.reporter.close();
  }

  /** A failure as one of our errors. That the time was up says no more than that nobody answered. */
  wrapped(error: unknown): DiscoveryError {
    const { what, details } = this.source;
    const facts = { backend: this.home.backend, ...details };
    if (error instanceof DiscoveryError && error.code === 'TIMEOUT') {
      return new DiscoveryError('BACKEND_UNAVAILABLE', error.message, { cause: error, ...facts });
    }
    return toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} can't be read`, facts);
  }

  /** The error for who uses it after its end. */
  closedError(): DiscoveryError {
    const { what, details } = this.source;
    return new DiscoveryError('BACKEND_CLOSED', `the watch of ${what} was closed`, {
      backend: this.home.backend,
      ...details,
    });
  }

  private send(report: FeedReport<T>): Promise<void> {
    this.sent += 1;
    this.delivery = this.reporter.send(report);
    return this.delivery;
  }
}

/** Those who asked for a refresh. */
export class Waiters {
  private list: ((error: DiscoveryError | undefined) => void)[] = [];

  get waiting(): boolean {
    return this.list.length > 0;
  }

  /** Waits with those who are answered next. */
  join(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.list.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** Waits on for those of `others`, who were not answered after all. */
  add(others: Waiters): void {
    this.list.unshift(...others.list.splice(0));
  }

  /** Takes all of them, so that who comes later isn't answered by what was asked before. */
  take(): Waiters {
    const taken = new Waiters();
    taken.list = this.list.splice(0);
    return taken;
  }

  settle(error?: DiscoveryError): void {
    for (const settle of this.list.splice(0)) settle(error);
  }
}
