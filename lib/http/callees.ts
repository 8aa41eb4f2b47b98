import { until, type AddressResolver, type Clock, type View } from '../backend/index.js';
import type { Balancer, Balancers, Route } from '../balancing/index.js';
import { noSnapshot, type ServiceView, type ServiceViews, type ViewLease } from '../discovery/index.js';
import type { Snapshot } from '../model/index.js';
import type { Callee } from './attempts.js';
import { routeSettings, type ResolvedCallOptions } from './call-options.js';
import { Bulkhead } from './bulkhead.js';
import { CallGuard } from './call-guard.js';
import { RetryBudget } from './retry-budget.js';

/** The service of a bound client, and the options of its calls. */
export interface BoundService {
  readonly service: string;
  readonly options: ResolvedCallOptions;
}

/** What {@link Callees} need of their app. */
export interface CalleesOptions {
  readonly views: ServiceViews;
  readonly balancers: Balancers;
  readonly firstSnapshotTimeoutMs: number;
  readonly clock: Clock;
  /** Those of the app, which all of its clients share. */
  readonly bulkheads: Bulkheads;
  /** The options of a service's calls, or of those to no service, defaults included. */
  readonly optionsFor: (service?: string) => ResolvedCallOptions;
}

/** The services that a client calls: watched, each with the client's options and retry budget. */
export class Callees {
  private readonly callees = new WeakMap<View<Snapshot>, ServiceCallee>();
  private readonly held = new Map<string, ViewLease>();

  constructor(
    private readonly options: CalleesOptions,
    readonly now: () => number,
    /** The one service whose watch stays open from the first call on. */
    private readonly bound: BoundService | undefined,
  ) {}

  /** Opens the watch of a service, for good. */
  hold(service: string): void {
    if (!this.held.has(service)) this.held.set(service, this.options.views.acquire(service));
  }

  /** Whom calls to a service go to, if that can be told without waiting. */
  known(service: string): ServiceCallee | undefined {
    if (service === this.bound?.service) this.hold(service);
    const view = this.held.get(service)?.view ?? this.options.views.watchedView(service);
    return view === undefined || view.current.state === 'unknown' ? undefined : this.of(view, service);
  }

  /**
   * Calls `use` with the view of a service, held for as long as that takes: the names come from outside, and an unused watch
   * closes by itself.
   */
  with<T>(service: string, use: (view: ServiceView) => Promise<T>): Promise<T> {
    if (service === this.bound?.service) this.hold(service);
    const held = this.held.get(service);
    return held === undefined ? this.options.views.with(service, use) : use(held.view);
  }

  /** @throws NoSnapshotError when no registry answered in time */
  async whenKnown(view: ServiceView): Promise<void> {
    if (view.current.state !== 'unknown') return;
    const { firstSnapshotTimeoutMs } = this.options;
    const snapshot = await view.settled(firstSnapshotTimeoutMs);
    if (snapshot.state === 'unknown') throw noSnapshot(view, firstSnapshotTimeoutMs, this.options.views.now);
  }

  /** Whom calls go to that an address resolver makes of a host. @throws what it does; DiscoveryError when it knows nothing in time */
  async resolved(resolver: AddressResolver, host: string, scheme?: string): Promise<ServiceCallee> {
    const view = resolver.resolve(host, scheme);
    const { clock, firstSnapshotTimeoutMs: timeoutMs } = this.options;
    if (view.current.state === 'unknown') await until(view, ({ state }) => state !== 'unknown', { clock, timeoutMs });
    return this.of(view, host);
  }

  /** Whom calls go to that an HTTP client makes. */
  of(view: View<Snapshot>, service: string): ServiceCallee {
    let callee = this.callees.get(view);
    if (callee === undefined) {
      const { balancers, bulkheads, clock } = this.options;
      const balancer = balancers.of(view);
      const options = this.optionsOf(service);
      const bulkhead = bulkheads.of(balancer, service, options, clock);
      callee = new ServiceCallee(balancer, options, this.now, bulkhead);
      this.callees.set(view, callee);
    }
    return callee;
  }

  optionsOf(service: string): ResolvedCallOptions {
    return service === this.bound?.service ? this.bound.options : this.options.optionsFor(service);
  }
}

/** What an HTTP client speaks. */
const HTTP_SCHEMES: readonly string[] = Object.freeze(['http', 'https']);

/** A service that is called by HTTP: only instances that speak it are picked. */
export class ServiceCallee extends CallGuard implements Callee {
  readonly budget: RetryBudget;
  readonly schemes = HTTP_SCHEMES;
  /** The route of all who pick an instance of the service, whatever they speak. */
  readonly anyRoute: Route;
  private httpRoute: Route | undefined;

  constructor(
    readonly balancer: Balancer,
    options: ResolvedCallOptions,
    readonly time: () => number,
    bulkhead: Bulkhead | undefined,
  ) {
    super(options, bulkhead);
    const { retry } = options;
    this.budget = new RetryBudget(retry.budgetShare, retry.budgetPerSecond, time);
    this.anyRoute = balancer.route(routeSettings(options));
  }

  /** As a rule all instances speak HTTP, and calls are picked by the route of all others. */
  get route(): Route {
    if (!this.balancer.hasOthersThan(HTTP_SCHEMES)) return this.anyRoute;
    this.httpRoute ??= this.balancer.route({ ...routeSettings(this.options), schemes: HTTP_SCHEMES });
    return this.httpRoute;
  }
}

/** The bulkheads of an app: one for each service and size, which lasts as long as what is known of the service. */
export class Bulkheads {
  private readonly byBalancer = new WeakMap<Balancer, Bulkhead[]>();

  /** The one that calls with these options go through; undefined: none. */
  of(
    balancer: Balancer,
    service: string,
    { bulkhead: options }: ResolvedCallOptions,
    clock: Clock,
  ): Bulkhead | undefined {
    if (options === undefined) return undefined;
    const all = this.byBalancer.get(balancer) ?? [];
    this.byBalancer.set(balancer, all);
    const { maxCalls, maxQueue = 0 } = options;
    let found = all.find((one) => one.options.maxCalls === maxCalls && (one.options.maxQueue ?? 0) === maxQueue);
    if (found === undefined) all.push((found = new Bulkhead(service, options, clock)));
    return found;
  }
}
