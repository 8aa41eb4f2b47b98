import {
  assertServiceName,
  describe,
  DiscoveryError,
  keepMembers,
  type ConfigDocument,
  type DiscoveryErrorCode,
  type DiscoveryEvent,
  type Registration,
  type ServiceInstance,
} from '../../model/index.js';
import type { Clock } from '../port/clock.js';
import type { Logger } from '../port/logger.js';
import type { ConfigReport } from '../port/config-driver.js';
import type { DiscoveryReport, ServicesReport, Watch } from '../port/discovery-driver.js';
import { keepDocuments } from './documents.js';
import type { Feed, FeedHome } from './feed.js';
import { GatheredFeed, type Gathering } from './gather.js';
import { Health, type HealthHooks } from './health.js';
import { LeaseKeeper, type LeaseKeeperOptions, type LeaseOperations } from './lease-keeper.js';
import { openFeed } from './open-feed.js';
import { Skips } from './skips.js';
import type { FeedReport, FeedSource } from './source.js';
import { singleLine } from '../machinery/single-line.js';

/** What a host needs of its app; a backend's context has it, and a client that is used alone can give it. */
export interface HostContext {
  readonly logger: Logger;
  readonly clock: Clock;
  random(): number;
  report(event: DiscoveryEvent): void;
}

/** Options of {@link DriverHost.lease}: those of a {@link LeaseKeeper} that the host doesn't know itself. */
export interface LeaseOptions extends Omit<
  LeaseKeeperOptions,
  'clock' | 'backend' | 'operations' | 'random' | 'report' | 'onRevoked'
> {
  /** Listens to what the lease should know (a lost session, a deleted node); returns how to end that with the lease. */
  readonly follow?: (lease: LeaseKeeper) => () => void;
  /** Told of every event of the lease, before the app is. */
  readonly onEvent?: (event: DiscoveryEvent) => void;
}

/**
 * What every driver has of its backend, which is one. A driver says what is read, told and kept; when that happens, what
 * is news, what fails and what ends is decided here.
 */
export interface DriverHost {
  /** Name of the backend. */
  readonly name: string;
  readonly context: HostContext;
  readonly health: Pick<Health, 'ok' | 'failed' | 'gone' | 'session'>;
  /** Refuses what comes too late. @throws DiscoveryError `BACKEND_CLOSED` after `close()` was called */
  assertOpen(): void;
  /** Takes what must be ended with the backend; gives the way to take it back. */
  adopt(close: () => Promise<unknown>): () => void;
  /** Tells of a record that was left out: see `Skips`. */
  skip(record: string, problem: unknown, version?: string, code?: DiscoveryErrorCode): void;
  /**
   * Keeps `registration` true.
   * @throws DiscoveryError `BACKEND_CLOSED`, `INVALID_NAME`, and what `options.check` throws
   */
  lease(registration: Registration, operations: LeaseOperations, options: LeaseOptions): LeaseKeeper;
  /** Watches a source for as long as the backend is open; how it fares counts for the backend's health. */
  feed<T>(source: FeedSource<T>, report: (report: FeedReport<T>) => void): Watch;
  /** Watches several sources as one. */
  gather<T, R>(gathering: Gathering<T, R>, report: (report: FeedReport<R>) => void): Watch;
  /**
   * The watch of a service, as {@link DiscoveryDriver.watch} has to be.
   * @param source asked for after the name was checked
   * @throws DiscoveryError `BACKEND_CLOSED` or `INVALID_NAME`
   */
  instances<T>(
    service: string,
    source: () => FeedSource<readonly ServiceInstance[]> | Gathering<T, readonly ServiceInstance[]>,
    report: (report: DiscoveryReport) => void,
  ): Watch;
  /**
   * The watch of the services that there are, as {@link DiscoveryDriver.watchServices} has to be. Sources may name a service
   * twice and in any order.
   * @throws DiscoveryError `BACKEND_CLOSED`
   */
  services<T>(
    source: () => FeedSource<readonly string[]> | Gathering<T, readonly string[]>,
    report: (report: ServicesReport) => void,
  ): Watch;
  /**
   * The watch of a scope, as {@link ConfigDriver.watch} has to be.
   * @throws DiscoveryError `BACKEND_CLOSED`
   */
  documents<T>(
    source: () => FeedSource<readonly ConfigDocument[]> | Gathering<T, readonly ConfigDocument[]>,
    report: (report: ConfigReport) => void,
  ): Watch;
}

/** `previous` when `next` has the same names. */
function keepNames(previous: readonly string[], next: readonly string[]): readonly string[] {
  const before = new Set(previous);
  const after = new Set(next);
  return before.size === after.size && next.every((name) => before.has(name)) ? previous : next;
}

/** Failures that are an answer: of a record or a document, not of the server. */
const ANSWERS: ReadonlySet<DiscoveryErrorCode> = new Set(['CONFIG_DOCUMENT_INVALID', 'INVALID_INSTANCE']);

/** The {@link DriverHost} of a backend, or of a client that is used alone. */
export class Host implements DriverHost {
  readonly health: Health;
  /** What this backend knows of its product's health. */
  protected readonly hooks: HealthHooks = {};
  /** Whether its product has services in folders: names with slashes. */
  protected readonly folders: boolean = false;
  private readonly adopted = new Set<() => Promise<unknown>>();
  private readonly feeds = new Set<Feed>();
  private readonly skips: Skips;
  private sealed = false;

  readonly context: HostContext;

  constructor(
    readonly name: string,
    context: HostContext,
  ) {
    // As it was given, but for the logger.
    this.context = Object.create(context, {
      logger: { value: singleLine(context.logger), enumerable: true },
    }) as HostContext;
    const { clock } = context;
    this.skips = new Skips({ backend: name, clock, report: (event) => context.report(event) });
    this.health = new Health({
      backend: name,
      clock,
      random: () => context.random(),
      hooks: () => this.hooks,
      show: (reason) => this.show(reason),
      onSilence: () => {
        for (const feed of this.feeds) feed.recheck();
      },
      onBack: () => {
        for (const feed of this.feeds) feed.retry();
        this.hooks.onBack?.();
      },
    });
  }

  /** Refuses what comes too late. @throws DiscoveryError `BACKEND_CLOSED` after `close()` was called */
  assertOpen(): void {
    if (this.sealed) throw this.closedError();
  }

  adopt(close: () => Promise<unknown>): () => void {
    this.adopted.add(close);
    return () => void this.adopted.delete(close);
  }

  skip(record: string, problem: unknown, version?: string, code?: DiscoveryErrorCode): void {
    this.skips.skip(record, problem, version, code);
  }

  lease(registration: Registration, operations: LeaseOperations, options: LeaseOptions): LeaseKeeper {
    this.assertOpen();
    this.assertFolder(registration.service);
    // Refused here, and not in a loop that tries for ever.
    options.check?.(registration);
    const { context, health } = this;
    const { follow, onEvent, ...rest } = options;
    let disown = (): void => {};
    const lease = new LeaseKeeper(registration, {
      ...rest,
      clock: context.clock,
      backend: this.name,
      operations,
      random: () => context.random(),
      report: (event) => {
        onEvent?.(event);
        context.report(event);
      },
      onRevoked: () => disown(),
    });
    const unsubscribe = lease.state.subscribe(({ phase, error }) => {
      if (phase === 'registered') health.ok(lease);
      else if (error !== undefined) health.failed(lease, error);
    });
    const unfollow = follow?.(lease);
    // Aborted: what wasn't revoked when the backend closes is left to expire.
    const release = this.adopt(() => lease.revoke(AbortSignal.abort()));
    disown = () => {
      unfollow?.();
      unsubscribe();
      health.gone(lease);
      release();
    };
    return lease;
  }

  feed<T>(source: FeedSource<T>, report: (report: FeedReport<T>) => void): Watch {
    const { health } = this;
    const key = {};
    let forget = (): void => {};
    const feed = openFeed(
      source,
      this.home(source.what, {
        onOutcome: (error) => {
          if (error === undefined || ANSWERS.has(error.code)) health.ok(key);
          else health.failed(key, error);
        },
        onCut: (error) => health.cut(error),
        onClosed: () => {
          // Last: what was still under way may have told an outcome.
          health.gone(key);
          forget();
        },
      }),
      report,
    );
    this.feeds.add(feed);
    const disown = this.adopt(() => feed.close());
    forget = () => {
      this.feeds.delete(feed);
      disown();
    };
    return feed;
  }

  gather<T, R>(gathering: Gathering<T, R>, report: (report: FeedReport<R>) => void): Watch {
    let disown = (): void => {};
    const watch = new GatheredFeed(
      gathering,
      this.home(gathering.what, { onClosed: () => disown() }),
      (source, hear) => this.feed(source, hear),
      report,
    );
    disown = this.adopt(() => watch.close());
    return watch;
  }

  instances<T>(
    service: string,
    source: () => FeedSource<readonly ServiceInstance[]> | Gathering<T, readonly ServiceInstance[]>,
    report: (report: DiscoveryReport) => void,
  ): Watch {
    this.assertOpen();
    assertServiceName(service, 'service');
    this.assertFolder(service);
    return this.watch({ details: { service }, keep: keepMembers, ...source() }, ({ value, error }) =>
      report(error === undefined ? { instances: value } : { error }),
    );
  }

  services<T>(
    source: () => FeedSource<readonly string[]> | Gathering<T, readonly string[]>,
    report: (report: ServicesReport) => void,
  ): Watch {
    this.assertOpen();
    return this.watch({ keep: keepNames, ...source() }, ({ value, error }) =>
      report(error === undefined ? { services: Object.freeze([...new Set(value)].sort()) } : { error }),
    );
  }

  documents<T>(
    source: () => FeedSource<readonly ConfigDocument[]> | Gathering<T, readonly ConfigDocument[]>,
    report: (report: ConfigReport) => void,
  ): Watch {
    this.assertOpen();
    return this.watch({ keep: keepDocuments, ...source() }, ({ value, error }) =>
      report(error === undefined ? { documents: value } : { error }),
    );
  }

  /** Closes what was adopted and not taken back. */
  async close(): Promise<void> {
    this.seal();
    await this.health.stop();
    await Promise.all([...this.adopted].map((close) => close()));
  }

  protected closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', `the backend ${this.name} was closed`, { backend: this.name });
  }

  /** From now on nothing new begins. */
  protected seal(): void {
    this.sealed = true;
  }

  /** Shows how the product fares: well, or why not. */
  protected show(_reason: DiscoveryError | undefined): void {}

  private assertFolder(service: string): void {
    if (this.folders || !service.includes('/')) return;
    const problem = `service must not contain a slash: ${this.name} has no folders of services; nameFor gives it a name there`;
    throw new DiscoveryError('INVALID_NAME', `${problem}, got ${describe(service)}`, {
      field: 'service',
      backend: this.name,
    });
  }

  private watch<T, R>(source: FeedSource<R> | Gathering<T, R>, report: (report: FeedReport<R>) => void): Watch {
    return 'sources' in source ? this.gather(source, report) : this.feed(source, report);
  }

  private home(what: string, more: Pick<FeedHome, 'onOutcome' | 'onCut' | 'onClosed'>): FeedHome {
    const { context, name } = this;
    return {
      clock: context.clock,
      random: () => context.random(),
      backend: name,
      onListenerError: (error) =>
        context.report({ type: 'listener.failed', where: `the watch of ${what} on ${name}`, error }),
      ...more,
    };
  }
}
