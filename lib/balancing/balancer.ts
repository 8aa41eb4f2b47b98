import { isDeepStrictEqual } from 'node:util';
import type { View } from '../backend/index.js';
import type { ServiceInstance, Snapshot } from '../model/index.js';
import { TrackedEndpoint, type CallUnderWay, type Endpoint, type Outcome } from './endpoint.js';
import type { PickLedger } from './instance-pick.js';
import { createLoadBalancer } from './load-balancers.js';
import { OutlierDetector, type EjectionOptions } from './outlier-detector.js';
import type { BalancingStrategy } from './picker.js';
import { Route } from './route.js';
import { routableInstances, Routing, type RoutingOptions } from './routing.js';

/** How one of a service's instances is picked. */
export interface RouteSettings {
  readonly balancing: BalancingStrategy;
  readonly routing: RoutingOptions;
  readonly ejection: EjectionOptions | false;
  /** Only instances of these schemes. @default any */
  readonly schemes?: readonly string[];
}

/** Options of a {@link Balancer}. */
export interface BalancerOptions {
  /** Milliseconds, of any origin; asked once for each pick. */
  readonly now: () => number;
  readonly random: () => number;
  /** Spreads subsets. */
  readonly clientId: string;
  /** Told when an instance is no longer one of those to call. */
  readonly onGone?: (instance: ServiceInstance) => void;
  /** Told when an instance is left out, once until it is back. */
  readonly onEjected?: (instance: ServiceInstance, forMs: number) => void;
  /** Told when an instance that was left out has answered again. */
  readonly onReturned?: (instance: ServiceInstance) => void;
}

/** What a balancer has seen of an instance that may be called, at one moment. */
export interface EndpointState {
  readonly instance: ServiceInstance;
  /** Calls that have not ended. */
  readonly pending: number;
  /** Moving average of the response time, in milliseconds; 0 before the first call. */
  readonly latencyMs: number;
  /** Moving average of the share of calls that did not fail, from 0 to 1. */
  readonly health: number;
  /** Calls that have ended and said something of the instance, since it is in the list. */
  readonly calls: number;
  /** Those of them that failed. */
  readonly failures: number;
  /** How much longer it is left out for its failures, in milliseconds; 0 when it isn't. */
  readonly ejectedForMs: number;
  /** It was left out, and must prove that it is well: it gets one call at a time. */
  readonly onProbation: boolean;
}

/**
 * What this app knows of one service: who is there, and how the calls to them fared, whoever made them. Clients that pick
 * in different ways do so by different routes, over the same endpoints.
 */
export class Balancer implements PickLedger {
  readonly now: () => number;
  private readonly routes: { readonly settings: RouteSettings; readonly route: Route }[] = [];
  private readonly detectors: { readonly ejection: EjectionOptions; readonly detector: OutlierDetector }[] = [];
  private known = new Map<string, TrackedEndpoint>();
  private endpoints: readonly TrackedEndpoint[] = [];
  private schemes: readonly string[] = [];
  private seen: Snapshot | undefined;
  private members: readonly ServiceInstance[] = [];
  /** Those of which it was told that they are left out, and not yet that they are back. */
  private readonly out = new Set<TrackedEndpoint>();

  constructor(
    readonly view: View<Snapshot>,
    private readonly options: BalancerOptions,
  ) {
    this.now = options.now;
  }

  /** The route with these settings; one for all who ask for the same. */
  route(settings: RouteSettings): Route {
    const existing = this.routes.find((one) => isSameRoute(one.settings, settings));
    if (existing !== undefined) return existing.route;
    this.refresh();
    const { random, clientId } = this.options;
    const route = new Route({
      loadBalancer: createLoadBalancer(settings.balancing, random),
      routing: new Routing(settings.routing, clientId, settings.schemes),
      detector: settings.ejection === false ? undefined : this.detectorFor(settings.ejection),
      ledger: this,
      random,
    });
    route.update(this.endpoints, this.members, this.now());
    this.routes.push({ settings, route });
    return route;
  }

  /** Takes the newest list, if there is a newer one. */
  refresh(): void {
    const snapshot = this.view.current;
    if (snapshot !== this.seen) this.take(snapshot);
  }

  /** How many instances are left out at present, by any of the routes. */
  get ejected(): number {
    this.refresh();
    const now = this.now();
    return this.endpoints.filter((endpoint) => this.detectors.some(({ detector }) => detector.isOut(endpoint, now)))
      .length;
  }

  /** What is seen of each instance that may be called, in the order of the list. */
  get states(): readonly EndpointState[] {
    this.refresh();
    const now = this.now();
    return this.endpoints.map((endpoint) => {
      const { instance, pending, latencyMs, health, calls, failures } = endpoint;
      return {
        instance,
        pending,
        latencyMs,
        health,
        calls,
        failures,
        ejectedForMs: Math.max(0, ...this.detectors.map(({ detector }) => detector.outForMs(endpoint, now))),
        onProbation: this.detectors.some(({ detector }) => detector.isOnProbation(endpoint)),
      };
    });
  }

  /** Whether instances of other schemes are among those that may be called. */
  hasOthersThan(schemes: readonly string[]): boolean {
    this.refresh();
    return this.schemes.some((scheme) => !schemes.includes(scheme));
  }

  begin(endpoint: TrackedEndpoint, call: CallUnderWay): void {
    endpoint.began(call);
    for (const { route } of this.routes) route.pendingChanged(endpoint);
  }

  answer(endpoint: TrackedEndpoint, call: CallUnderWay, outcome: Outcome): void {
    const now = this.now();
    endpoint.answered(call, now);
    call.wholeBefore = endpoint.whole;
    call.rowBefore = 0;
    for (const { detector } of this.detectors) call.rowBefore = Math.max(call.rowBefore, detector.rowOf(endpoint));
    this.settle(endpoint, outcome, now, now - call.startedAt);
  }

  end(endpoint: TrackedEndpoint, call: CallUnderWay, outcome: Outcome): void {
    const now = this.now();
    endpoint.ended(call, now, ANSWERS.has(outcome));
    for (const { route } of this.routes) route.pendingChanged(endpoint);
    if (call.isAnswered) {
      // How well it answered is known; a stream that breaks off is news, and its good beginning no success after all.
      const row = call.wholeBefore === endpoint.whole ? call.rowBefore : 0;
      if (BROKEN_OFF.has(outcome)) this.settle(endpoint, outcome, now, endpoint.latencyMs, row);
      else if (outcome === 'success') endpoint.whole += 1;
      return;
    }
    if (outcome === 'success') endpoint.whole += 1;
    this.settle(endpoint, outcome, now, now - call.startedAt);
  }

  private settle(endpoint: TrackedEndpoint, outcome: Outcome, now: number, tookMs: number, rowBefore = 0): void {
    if (outcome === 'cancelled') return;
    if (outcome === 'overtaken') {
      endpoint.latencyMs = Math.max(endpoint.latencyMs, tookMs);
      return;
    }
    let failed = outcome !== 'success' && (outcome !== 'application-failure' || this.detectors.length === 0);
    for (const { detector } of this.detectors) {
      const fails = detector.isFailure(outcome);
      failed ||= fails;
      detector.settle(endpoint, fails, now, rowBefore);
    }
    endpoint.measure(now, tookMs, failed);
    if (this.out.size > 0 && !failed) this.mayBeBack(endpoint, now);
  }

  private mayBeBack(endpoint: TrackedEndpoint, now: number): void {
    if (!this.out.has(endpoint)) return;
    const isOut = this.detectors.some(
      ({ detector }) => detector.isOut(endpoint, now) || detector.isOnProbation(endpoint),
    );
    if (isOut) return;
    this.out.delete(endpoint);
    this.options.onReturned?.(endpoint.instance);
  }

  private tellEjected(detector: OutlierDetector, now: number): void {
    const { onEjected } = this.options;
    if (onEjected === undefined) return;
    for (const endpoint of this.endpoints) {
      const forMs = detector.outForMs(endpoint, now);
      if (forMs === 0 || this.out.has(endpoint)) continue;
      this.out.add(endpoint);
      onEjected(endpoint.instance, forMs);
    }
  }

  /** The instance asks to be left alone for a while (`Retry-After`): it is left out, unless nobody else is there. */
  pushBack(endpoint: Endpoint, forMs: number): void {
    if (forMs <= 0) return;
    const now = this.now();
    for (const { detector } of this.detectors) detector.pushBack(endpoint, forMs, now);
  }

  private take(snapshot: Snapshot): void {
    this.seen = snapshot;
    // A change of state or error alone leaves the instances, and with them the pickers, as they are.
    if (snapshot.instances === this.members) return;
    this.members = snapshot.instances;
    const now = this.now();
    const first = this.known.size === 0;
    const known = new Map<string, TrackedEndpoint>();
    for (const instance of routableInstances(snapshot)) {
      // Those of the first list are not new: nobody would be left to take their share.
      const endpoint = this.known.get(instance.url) ?? new TrackedEndpoint(instance, first ? -Infinity : now);
      endpoint.instance = instance;
      known.set(instance.url, endpoint);
    }
    const { onGone } = this.options;
    if (onGone !== undefined) {
      for (const [url, { instance }] of this.known) if (!known.has(url)) onGone(instance);
    }
    for (const endpoint of this.out) if (known.get(endpoint.instance.url) !== endpoint) this.out.delete(endpoint);
    this.known = known;
    this.endpoints = [...known.values()];
    this.schemes = [...new Set(this.endpoints.map(({ instance }) => instance.scheme))];
    for (const { detector } of this.detectors) detector.update(this.endpoints);
    for (const { route } of this.routes) route.update(this.endpoints, this.members, now);
  }

  private detectorFor(ejection: EjectionOptions): OutlierDetector {
    const existing = this.detectors.find((one) => isDeepStrictEqual(one.ejection, ejection));
    if (existing !== undefined) return existing.detector;
    const detector = new OutlierDetector(ejection, this.now(), (now) => {
      for (const { route } of this.routes) route.build(now);
      this.tellEjected(detector, now);
    });
    detector.update(this.endpoints);
    this.detectors.push({ ejection, detector });
    return detector;
  }
}

/** Outcomes that an instance which has stalled doesn't have. */
const ANSWERS: ReadonlySet<Outcome> = new Set<Outcome>(['success', 'gateway-failure', 'application-failure']);

/** Outcomes that an answer may still have when it has begun. */
const BROKEN_OFF: ReadonlySet<Outcome> = new Set<Outcome>(['connection-failure', 'timeout']);

/** A balancing object is compared by identity: two of one class may differ in what only they see. */
function isSameRoute(a: RouteSettings, b: RouteSettings): boolean {
  return (
    a.balancing === b.balancing &&
    isDeepStrictEqual(a.routing, b.routing) &&
    isDeepStrictEqual(a.ejection, b.ejection) &&
    isDeepStrictEqual(a.schemes, b.schemes)
  );
}

/** The balancers of an app: one for each view, shared by all who call that service. */
export class Balancers {
  private readonly byView = new WeakMap<View<Snapshot>, Balancer>();

  constructor(private readonly options: BalancerOptions) {}

  /** The balancer of a view if anybody has picked by it. */
  peek(view: View<Snapshot>): Balancer | undefined {
    return this.byView.get(view);
  }

  of(view: View<Snapshot>): Balancer {
    let balancer = this.byView.get(view);
    if (balancer === undefined) this.byView.set(view, (balancer = new Balancer(view, this.options)));
    return balancer;
  }
}
