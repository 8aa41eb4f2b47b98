import { Observable } from 'rxjs';
import {
  FIRST_TRY,
  Lanes,
  routableInstances,
  type Balancers,
  type InstancePick,
  type PickContext,
  type Route,
  type RouteSettings,
  type RoutingOptions,
} from '../balancing/index.js';
import {
  describe,
  DiscoveryError,
  NoInstanceError,
  NoSnapshotError,
  type ServiceInstance,
  type ServiceList,
  type Snapshot,
} from '../model/index.js';
import type { DiscoveryDriver, NamedDriver, View } from '../backend/index.js';
import type { AttemptFollower, CallFollower, CallResult, CallTelemetry } from '../observability/index.js';
import { resultOfError } from './call-failure.js';
import type { ServiceView } from './service-view.js';
import type { ServiceViews } from './service-views.js';

/** What a {@link DiscoveryClient} needs of its app. */
export interface DiscoveryClientOptions {
  readonly views: ServiceViews;
  readonly sources: readonly NamedDriver<DiscoveryDriver>[];
  /** How long the first question about a service may wait, in milliseconds. */
  readonly firstSnapshotTimeoutMs: number;
  readonly balancers: Balancers;
  /** How the calls to a service are routed. */
  readonly routeFor: (service: string) => RouteSettings;
  /** What picks of a service go by besides what they are told: the lane of the request in whose course they are made. */
  readonly contextFor?: (service: string) => (context: PickContext) => PickContext;
  /** Hears of picks. @default nobody does */
  readonly calls?: Pick<CallTelemetry, 'begin'>;
}

/** How a service's instances are picked, and by what. */
interface Target {
  readonly route: Route;
  readonly contextOf: (context: PickContext) => PickContext;
}

/** The read side: which services there are, and which instances they have. Injectable. */
export class DiscoveryClient {
  private readonly targets = new WeakMap<ServiceView, Target>();

  /** @internal Made by the module. */
  constructor(private readonly options: DiscoveryClientOptions) {}

  /**
   * Names of all services in all backends, sorted. A backend that can't be asked is left out.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` when none could be asked
   */
  async getServices(): Promise<readonly string[]> {
    const results = await Promise.allSettled(this.options.sources.map(({ driver }) => driver.listServices()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined && results.every((result) => result.status === 'rejected')) throw failed.reason;
    const names = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    return [...new Set(names)].sort();
  }

  /**
   * The instances of a service that may be called (UP, weight above 0), or all of them with `{ all: true }`. Answered
   * from the watched view; only the first question about a service waits.
   *
   * @throws NoSnapshotError when no registry answered in time; a service that has no instances gives an empty list
   */
  async getInstances(service: string, options: { readonly all?: boolean } = {}): Promise<readonly ServiceInstance[]> {
    const snapshot = await this.getSnapshot(service);
    return options.all === true ? snapshot.instances : routableInstances(snapshot);
  }

  /**
   * The instances with the state and age of the list.
   * @throws NoSnapshotError when no registry answered in time
   */
  getSnapshot(service: string): Promise<Snapshot> {
    return this.options.views.with(service, (view) => this.knownSnapshot(view));
  }

  /**
   * The snapshot of a service, and every one that follows. The first value comes when a registry has answered; an outage
   * shows as `stale`, and never as an error of the Observable.
   */
  watchInstances(service: string): Observable<Snapshot> {
    return new Observable((subscriber) => {
      const { view, release } = this.options.views.acquire(service);
      if (view.current.state !== 'unknown') subscriber.next(view.current);
      const unsubscribe = view.subscribe((snapshot) => {
        if (snapshot.state !== 'unknown') subscriber.next(snapshot);
      });
      return () => {
        unsubscribe();
        release();
      };
    });
  }

  /**
   * The names of all services in all backends, and every list that follows; told by the registry where it pushes that. The
   * first value comes when a registry has answered; an outage shows as `stale`, with the names that were known. Backends
   * that have no such list (DNS) are left out.
   *
   * @returns an Observable that fails with a DiscoveryError `UNSUPPORTED` when no backend has one
   */
  watchServices(): Observable<ServiceList> {
    return new Observable((subscriber) => {
      const { list } = this.options.views;
      if (!list.isSupported) {
        subscriber.error(new DiscoveryError('UNSUPPORTED', 'no backend of this app has a list of services'));
        return;
      }
      const { view, release } = list.acquire();
      if (view.current.state !== 'unknown') subscriber.next(view.current);
      const unsubscribe = view.subscribe((services) => {
        if (services.state !== 'unknown') subscriber.next(services);
      });
      return () => {
        unsubscribe();
        release();
      };
    });
  }

  /**
   * Picks one instance as a call to the service does: by its strategy, zone, routing, and what all calls of this app have
   * seen of the instances. The call counts as under way until the pick is told how it ended; for calls by any protocol.
   * It is one of the calls that are counted and measured, of the protocol `pick`, from the pick until then; what was `tried`
   * before makes it a retry. It has no span: who makes the call has one.
   *
   * ```ts
   * const pick = await discovery.pick('STOCK');
   * try {
   *   await call(pick.instance.url);
   *   pick.succeeded();
   * } catch (error) {
   *   pick.failed(error);
   *   throw error;
   * }
   * ```
   *
   * @param context what the pick goes by; of the instances that it names as `tried` none is given while there is another
   * @throws NoInstanceError when there is none that may be called; NoSnapshotError when no registry answered in time
   */
  pick(service: string, context: PickContext = FIRST_TRY): Promise<InstancePick> {
    const observed = this.options.calls?.begin?.({ protocol: 'pick', service });
    const pick = this.picked(service, context);
    return observed === undefined ? pick : followed(observed, context, pick);
  }

  /**
   * One instance, picked as {@link pick} does. Nobody learns how calls to it end, and none counts as under way: for
   * strategies that go by that, and to leave out instances that fail, use {@link pick}.
   *
   * @throws NoInstanceError when there is none that may be called; NoSnapshotError when no registry answered in time
   */
  choose(service: string, context: PickContext = FIRST_TRY): Promise<ServiceInstance> {
    return this.options.views.with(service, async (view) => {
      await this.knownSnapshot(view);
      const { route, contextOf } = this.targetOf(view);
      const full = contextOf(context);
      return route.select(full)?.instance ?? this.fail(view, full);
    });
  }

  /** Asks the registries anew, for one service or for all that are watched; resolves when the answers are in. */
  refresh(service?: string): Promise<void> {
    if (service === undefined) return this.options.views.refreshAll();
    return this.options.views.with(service, (view) => view.refresh());
  }

  private async picked(service: string, context: PickContext): Promise<InstancePick> {
    const watched = this.options.views.watchedView(service);
    if (watched !== undefined && watched.current.state !== 'unknown') return this.pickFrom(watched, context);
    return this.options.views.with(service, async (view) => {
      await this.knownSnapshot(view);
      return this.pickFrom(view, context);
    });
  }

  private async pickFrom(view: ServiceView, context: PickContext): Promise<InstancePick> {
    const { route, contextOf } = this.targetOf(view);
    const full = contextOf(context);
    return route.pick(full) ?? this.fail(view, full);
  }

  private targetOf(view: ServiceView): Target {
    let target = this.targets.get(view);
    if (target === undefined) {
      const { balancers, routeFor, contextFor } = this.options;
      const { service } = view;
      target = {
        route: balancers.of(view).route(routeFor(service)),
        contextOf: contextFor?.(service) ?? ((context) => context),
      };
      this.targets.set(view, target);
    }
    return target;
  }

  private async fail(view: ServiceView, context: PickContext): Promise<never> {
    const { service } = view;
    const { views, routeFor } = this.options;
    throw await views.explained(noInstance(view, { routing: routeFor(service).routing, context, now: views.now }));
  }

  private async knownSnapshot(view: ServiceView): Promise<Snapshot> {
    const { current } = view;
    if (current.state !== 'unknown') return current;
    const { firstSnapshotTimeoutMs } = this.options;
    const snapshot = await view.settled(firstSnapshotTimeoutMs);
    if (snapshot.state === 'unknown') throw noSnapshot(view, firstSnapshotTimeoutMs, this.options.views.now);
    return snapshot;
  }
}

/** The pick, once those who observe the call know of it. */
async function followed(
  observed: CallFollower,
  context: PickContext,
  picked: Promise<InstancePick>,
): Promise<InstancePick> {
  const end = (result: CallResult, attempt?: AttemptFollower): void => {
    attempt?.end(result);
    observed.end(result);
  };
  try {
    const pick = await picked;
    const reason = (context.tried?.size ?? 0) > 0 ? 'retry' : 'first';
    const attempt = observed.attempt({ instance: pick.instance, reason });
    pick.onEnd = (outcome, failure) => {
      if (failure !== undefined) end(resultOfError(failure.error), attempt);
      else end(outcome === 'success' ? SUCCEEDED : CANCELLED, attempt);
    };
    return pick;
  } catch (error) {
    end(resultOfError(error));
    throw error;
  }
}

const SUCCEEDED: CallResult = Object.freeze({ outcome: 'success' });

/** As axios calls what its caller gave up. */
const CANCELLED: CallResult = Object.freeze({ outcome: 'discarded', errorType: 'ERR_CANCELED' });

/** The instances of a service, and when they are read again, where that is known. */
export interface SnapshotView extends Pick<View<Snapshot>, 'current'> {
  /** In milliseconds since the epoch. */
  readonly readAgainAt?: number | undefined;
}

/** What an instance must be besides UP, for the one who calls. */
export interface Wanted {
  /** What the caller speaks. @default anything */
  readonly schemes?: readonly string[] | undefined;
  /** How calls to the service are routed. @default to any */
  readonly routing?: RoutingOptions | undefined;
  /** What the call goes by. */
  readonly context?: PickContext | undefined;
  /** The time, in milliseconds since the epoch, for the list's age. */
  readonly now?: number;
}

/** How many instances an error names. */
const MAX_NAMED = 10;

/** The error for a snapshot without an instance that may be called. */
export function noInstance({ current: snapshot, readAgainAt }: SnapshotView, wanted: Wanted = {}): NoInstanceError {
  const { service, instances } = snapshot;
  const named = instances.slice(0, MAX_NAMED).map((one) => `${one.url} ${whyNot(one, wanted, snapshot)}`);
  if (instances.length > MAX_NAMED) named.push(`and ${instances.length - MAX_NAMED} more`);
  return new NoInstanceError(
    service,
    `${service} has no instance that may be called: ${named.length === 0 ? 'none is registered' : named.join(', ')}` +
      ageOf(snapshot, readAgainAt, wanted.now),
  );
}

/** How old the list is, and when there will be another. */
function ageOf({ state, asOf }: Snapshot, readAgainAt: number | undefined, now: number | undefined): string {
  const age = asOf === undefined || now === undefined ? undefined : Math.max(0, Math.round((now - asOf) / 1000));
  const again = fromNow(readAgainAt, now);
  if (state === 'stale') {
    const said = age === undefined ? '' : `said ${age} s ago, `;
    return ` (${said}as of before the registry stopped answering; ${askedAgain(again)})`;
  }
  if (age === undefined) return '';
  const next =
    again === undefined ? 'the registry is watched, and its next word is used at once' : `it is read again ${again}`;
  return ` (said ${age} s ago; ${next})`;
}

/** In how many seconds, for people. */
function fromNow(time: number | undefined, now: number | undefined): string | undefined {
  if (time === undefined || now === undefined) return undefined;
  const seconds = Math.ceil((time - now) / 1000);
  return seconds <= 0 ? 'now' : `in ${seconds} s`;
}

function askedAgain(again: string | undefined): string {
  return again === undefined ? 'it is asked again until it answers' : `it is asked again ${again}`;
}

function whyNot(instance: ServiceInstance, wanted: Wanted, snapshot: Snapshot): string {
  const { status, weight, scheme, metadata } = instance;
  const { routing = {}, context = FIRST_TRY } = wanted;
  if (status !== 'UP') return `is ${status}`;
  if (weight === 0) return 'is UP with weight 0, which takes no calls';
  if (wanted.schemes?.includes(scheme) === false) return `speaks ${scheme}, not ${wanted.schemes.join(' or ')}`;
  const other = Object.entries(routing.metadata ?? {}).find(([key, value]) => metadata[key] !== value);
  if (other === undefined) {
    const lanes = new Lanes(routing.lane, routing.version);
    lanes.survey(routableInstances(snapshot));
    return lanes.whyNot(instance, context) ?? `is ${status}`;
  }
  const [key, value] = other;
  return `has ${key} ${describe(metadata[key])}, where routing.metadata wants ${describe(value)}`;
}

/** The error for a snapshot that nobody could make. */
export function noSnapshot({ current, readAgainAt }: SnapshotView, waitedMs: number, now?: number): NoSnapshotError {
  const { service, error } = current;
  const reason = error === undefined ? `no registry answered within ${waitedMs} ms` : error.message;
  return new NoSnapshotError(
    service,
    `the instances of ${service} aren't known yet: ${reason}; ${askedAgain(fromNow(readAgainAt, now))}`,
    error === undefined ? {} : { cause: error },
  );
}
