import type { DiscoveryError, ServiceList } from '../model/index.js';
import {
  ValueView,
  type DiscoveryDriver,
  type NamedDriver,
  type ServicesReport,
  type Timer,
  type Unsubscribe,
  type View,
  type Watch,
} from '../backend/index.js';
import { EmptyProtection } from './empty-protection.js';
import { HOLD_MS, type ServiceViewOptions } from './service-view.js';

/** What a {@link SharedServiceList} needs of its app. */
export type ServiceListOptions = ServiceViewOptions & { readonly lingerMs: number };

/** A driver that can tell which services there are. */
type ListingDriver = DiscoveryDriver & Required<Pick<DiscoveryDriver, 'watchServices'>>;

interface Source {
  readonly backend: string;
  readonly watch: Watch;
  readonly protection: EmptyProtection<NamesReport> | undefined;
  services?: readonly string[];
  asOf?: number;
  error?: DiscoveryError | undefined;
}

/** Names in the place of the instances that are protected elsewhere. */
interface NamesReport {
  readonly instances?: readonly string[] | undefined;
  readonly error?: DiscoveryError | undefined;
}

const UNKNOWN: ServiceList = Object.freeze({ services: Object.freeze([]), state: 'unknown' });

/** The names of all services on all backends, watched and merged. */
export class ServiceListView implements View<ServiceList> {
  private readonly view: ValueView<ServiceList>;
  private readonly sources: readonly Source[];
  private closed = false;

  /** Opens the watches. */
  constructor(private readonly options: ServiceListOptions) {
    this.view = new ValueView<ServiceList>(UNKNOWN, (error) =>
      options.report({ type: 'listener.failed', where: 'a watcher of the services', error }),
    );
    this.sources = options.sources.filter(canList).map(({ backend, driver }) => this.openSource(backend, driver));
  }

  get current(): ServiceList {
    return this.view.current;
  }

  subscribe(listener: (list: ServiceList) => void): Unsubscribe {
    return this.view.subscribe(listener);
  }

  /** Closes the watches; nothing is told afterwards. */
  async close(): Promise<void> {
    this.closed = true;
    this.view.close();
    for (const source of this.sources) source.protection?.close();
    await Promise.allSettled(this.sources.map((source) => source.watch.close()));
  }

  private openSource(backend: string, driver: ListingDriver): Source {
    const { clock } = this.options;
    const holdMs = this.options.emptyProtectionMs ?? driver.emptyHoldMs ?? HOLD_MS;
    const deliver = (report: NamesReport): void => this.receive(source, report);
    const protection =
      holdMs === false || driver.emptyIsCertain === true
        ? undefined
        : new EmptyProtection<NamesReport>({
            clock,
            holdMs,
            askEveryMs: Math.min(holdMs, HOLD_MS),
            confirm: () => source.watch.refresh(),
            deliver,
          });
    const hear = ({ services, error }: ServicesReport): void => {
      const report: NamesReport = error === undefined ? { instances: services } : { error };
      if (protection === undefined) deliver(report);
      else protection.receive(report);
    };
    const source: Source = { backend, watch: driver.watchServices(hear), protection };
    return source;
  }

  private receive(source: Source, { instances: services, error }: NamesReport): void {
    if (this.closed) return;
    source.error = error;
    if (services !== undefined) {
      source.services = services;
      source.asOf = this.options.clock.now();
    }
    this.merge();
  }

  private merge(): void {
    const before = this.view.current;
    const known = this.sources.filter((source) => source.services !== undefined);
    const failed = this.sources.filter((source) => source.error !== undefined);
    const names = [...new Set(known.flatMap((source) => source.services ?? []))].sort();
    const same = names.length === before.services.length && names.every((name, at) => name === before.services[at]);
    const isFresh = known.some((source) => source.error === undefined);
    const state = isFresh ? 'fresh' : known.length > 0 ? 'stale' : 'unknown';
    const partial = failed.map(({ backend }) => backend);
    const error = isFresh ? undefined : failed[0]?.error;
    if (
      same &&
      state === before.state &&
      error?.message === before.error?.message &&
      partial.join() === (before.partial ?? []).join()
    )
      return;
    const asOf = known.reduce<number | undefined>((latest, one) => Math.max(latest ?? 0, one.asOf ?? 0), undefined);
    this.view.set(
      Object.freeze({
        services: same ? before.services : Object.freeze(names),
        state,
        ...(asOf === undefined ? {} : { asOf }),
        ...(error === undefined ? {} : { error }),
        ...(partial.length === 0 ? {} : { partial: Object.freeze(partial) }),
      }),
    );
  }
}

/** The one list of an app, open while somebody uses it and for a while longer. */
export class SharedServiceList {
  private view: ServiceListView | undefined;
  private holders = 0;
  private linger: Timer | undefined;
  private readonly closing = new Set<Promise<void>>();

  constructor(private readonly options: ServiceListOptions) {}

  /** Whether any backend can tell which services there are. */
  get isSupported(): boolean {
    return this.options.sources.some(canList);
  }

  /** Takes part in the view; the watch stays open until everybody has released it. */
  acquire(): { readonly view: ServiceListView; release(): void } {
    this.linger?.cancel();
    this.linger = undefined;
    this.view ??= new ServiceListView(this.options);
    this.holders += 1;
    let released = false;
    return {
      view: this.view,
      release: () => {
        if (released) return;
        released = true;
        this.holders -= 1;
        if (this.holders > 0 || this.view === undefined) return;
        const { clock, lingerMs } = this.options;
        this.linger = clock.setTimer(() => this.end(), lingerMs, { background: true });
      },
    };
  }

  /** Resolves when the watches have ended. */
  async close(): Promise<void> {
    this.linger?.cancel();
    this.end();
    await Promise.all(this.closing);
  }

  private end(): void {
    this.linger = undefined;
    const { view } = this;
    this.view = undefined;
    if (view === undefined) return;
    const ended = view.close().finally(() => this.closing.delete(ended));
    this.closing.add(ended);
  }
}

function canList(source: NamedDriver<DiscoveryDriver>): source is NamedDriver<ListingDriver> {
  return source.driver.watchServices !== undefined;
}
