import {
  createServiceInstance,
  diffInstances,
  isEmptyDiff,
  keepIdentity,
  mergeSnapshots,
  unknownSnapshot,
  type DiscoveryEvent,
  type ServiceInstance,
  type Snapshot,
} from '../model/index.js';
import {
  earliest,
  until,
  ValueView,
  type Clock,
  type DiscoveryDriver,
  type DiscoveryReport,
  type NamedDriver,
  type Unsubscribe,
  type View,
  type Watch,
} from '../backend/index.js';
import { EmptyProtection } from './empty-protection.js';

/** What a {@link ServiceView} needs of its app. */
export interface ServiceViewOptions {
  readonly clock: Clock;
  readonly sources: readonly NamedDriver<DiscoveryDriver>[];
  /** The service's name on a backend, when it differs. */
  readonly nameFor?: ((service: string, backend: string) => string) | undefined;
  /** Hold an unexpected empty list this long and confirm it, in milliseconds; false: believe it. @default the backend's time */
  readonly emptyProtectionMs?: number | false | undefined;
  readonly report: (event: DiscoveryEvent) => void;
}

/** How long an empty list is doubted at a backend that doesn't say, and how often it is asked again, in milliseconds. */
export const HOLD_MS = 5000;

interface Source {
  readonly backend: string;
  readonly watch: Watch;
  readonly protection: EmptyProtection | undefined;
  snapshot: Snapshot;
  answered: boolean;
}

/** Everything the backends say of one service, watched and merged into one snapshot. */
export class ServiceView implements View<Snapshot> {
  private readonly view: ValueView<Snapshot>;
  private readonly sources: readonly Source[];
  /** How many reports came: not every one changes the snapshot. */
  private readonly reports = new ValueView(0);
  private closed = false;
  private stateSince: number;

  /** Opens the watches. */
  constructor(
    readonly service: string,
    private readonly options: ServiceViewOptions,
  ) {
    this.stateSince = options.clock.now();
    this.view = new ValueView(unknownSnapshot(service), (error) =>
      options.report({ type: 'listener.failed', where: `a watcher of ${service}`, error }),
    );
    this.sources = options.sources.map(({ backend, driver }) => this.openSource(backend, driver));
  }

  get current(): Snapshot {
    return this.view.current;
  }

  /** When the snapshot came into its state, in milliseconds since the epoch. */
  get since(): number {
    return this.stateSince;
  }

  /** When one of the backends is read again, in milliseconds since the epoch; undefined where they tell by themselves. */
  get readAgainAt(): number | undefined {
    return earliest(this.sources.map(({ watch }) => watch.readAgainAt));
  }

  get listenerCount(): number {
    return this.view.listenerCount;
  }

  subscribe(listener: (snapshot: Snapshot) => void): Unsubscribe {
    return this.view.subscribe(listener);
  }

  /**
   * The snapshot once every backend has answered or failed, or one of them has named instances; after `timeoutMs` what
   * is known by then (which may be `unknown`). At once when it is so already.
   */
  async settled(timeoutMs: number): Promise<Snapshot> {
    await until(this.reports, () => this.isSettled(), { clock: this.options.clock, timeoutMs });
    return this.current;
  }

  /** Asks every backend anew; rejects only when none of them answered. */
  async refresh(): Promise<void> {
    const results = await Promise.allSettled(this.sources.map((source) => source.watch.refresh()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined && results.every((result) => result.status === 'rejected')) throw failed.reason;
  }

  /** Closes the watches; nothing is told afterwards. */
  async close(): Promise<void> {
    this.closed = true;
    this.view.close();
    this.reports.set(this.reports.current + 1);
    for (const source of this.sources) source.protection?.close();
    await Promise.allSettled(this.sources.map((source) => source.watch.close()));
  }

  private openSource(backend: string, driver: DiscoveryDriver): Source {
    const { clock, nameFor } = this.options;
    const holdMs = this.options.emptyProtectionMs ?? driver.emptyHoldMs ?? HOLD_MS;
    const deliver = (report: DiscoveryReport): void => this.receive(source, report);
    const protection =
      holdMs === false || driver.emptyIsCertain === true
        ? undefined
        : new EmptyProtection({
            clock,
            holdMs,
            askEveryMs: Math.min(holdMs, HOLD_MS),
            confirm: () => source.watch.refresh(),
            deliver,
          });
    const source: Source = {
      backend,
      watch: driver.watch(nameFor?.(this.service, backend) ?? this.service, (report) => {
        if (protection === undefined) deliver(report);
        else protection.receive(report);
      }),
      protection,
      snapshot: unknownSnapshot(this.service),
      answered: false,
    };
    return source;
  }

  private receive(source: Source, report: DiscoveryReport): void {
    if (this.closed) return;
    const before = source.snapshot;
    if (report.instances === undefined) {
      const { error } = report;
      source.snapshot =
        before.state === 'unknown'
          ? unknownSnapshot(this.service, error)
          : Object.freeze({ ...before, state: 'stale' as const, error });
      this.options.report({ type: 'instances.failed', service: this.service, backend: source.backend, error });
    } else {
      source.snapshot = Object.freeze({
        service: this.service,
        instances: report.instances.map((instance) => this.asAsked(instance)),
        state: 'fresh' as const,
        asOf: this.options.clock.now(),
      });
      if (before.error !== undefined)
        this.options.report({ type: 'instances.recovered', service: this.service, backend: source.backend });
    }
    source.answered = true;
    this.merge();
    this.reports.set(this.reports.current + 1);
  }

  private merge(): void {
    const before = this.view.current;
    const merged = mergeSnapshots(this.service, this.sources);
    const instances = keepIdentity(before.instances, merged.instances);
    const same =
      instances === before.instances &&
      merged.state === before.state &&
      merged.error?.message === before.error?.message &&
      merged.partial?.join() === before.partial?.join();
    if (same) return;
    if (merged.state !== before.state) this.stateSince = this.options.clock.now();
    const snapshot: Snapshot = Object.freeze({ ...merged, instances });
    this.view.set(snapshot);
    const diff = diffInstances(before.instances, instances);
    if (isEmptyDiff(diff)) return;
    this.options.report({ type: 'instances.changed', service: this.service, snapshot, diff });
  }

  private isSettled(): boolean {
    const { state, instances } = this.current;
    return (
      this.closed || (state === 'fresh' && instances.length > 0) || this.sources.every((source) => source.answered)
    );
  }

  /** The instance under the name that was asked for, which may differ in case or by `nameFor`. */
  private asAsked(instance: ServiceInstance): ServiceInstance {
    return instance.service === this.service ? instance : createServiceInstance({ ...instance, service: this.service });
  }
}
