import type { Unsubscribe } from '../backend/index.js';
import { routableInstances } from '../balancing/index.js';
import { defined } from '../model/index.js';
import {
  CallMeter,
  readMetrics,
  type CallMeterOptions,
  type CallObserver,
  type InstanceTelemetry,
  type RouteCircuit,
  type RouteListener,
  type RouteTelemetry,
  type Sample,
  type ServiceTelemetry,
  type TelemetrySnapshot,
} from '../observability/index.js';
import type { DiscoveryRuntime } from './discovery-runtime.js';

/** Of an instance that nobody has called. */
const NOTHING_SEEN = {
  ejectedForMs: 0,
  onProbation: false,
  pending: 0,
  calls: 0,
  failures: 0,
  latencyMs: 0,
  health: 1,
};

/**
 * What happens in an app, for those who show it: metrics, traces, health checks, pages. Injectable everywhere. Calls are
 * told as they are made, whatever their protocol; all else is looked at when somebody asks, and costs nothing before.
 */
export class DiscoveryTelemetry {
  /** @internal Made by the module. */
  constructor(private readonly runtime: DiscoveryRuntime) {}

  /**
   * Has `observer` hear of every call to a service that begins from now on; see {@link CallObserver} for what it may do.
   *
   * @returns takes it back
   */
  onCall(observer: CallObserver): Unsubscribe {
    return this.runtime.calls.observe(observer);
  }

  /** The state of everything at this moment: what is known already. Nobody is asked, and no watch is opened. */
  snapshot(): TelemetrySnapshot {
    const { backends, tally, views, registry, configStore, options } = this.runtime;
    return {
      at: options.clock.now(),
      backends: backends.all.map(({ name, state: { current } }) => ({
        name,
        phase: current.phase,
        since: tally.since(name),
        ...defined({ error: current.error }),
      })),
      services: views.watched.flatMap((service) => this.service(service) ?? []),
      registrations: registry.parts.map(({ backend, driver: { registration, state, confirmedAt } }) => ({
        backend,
        service: registration.service,
        instanceId: registration.instanceId,
        phase: state.current.phase,
        ...defined({ confirmedAt, error: state.current.error }),
      })),
      configuration: {
        backends: backends.configs.map(({ backend }) => backend),
        since: configStore.since,
        problems: configStore.problems,
      },
      routes: this.routes(),
    };
  }

  /**
   * @internal For integrations that have metrics: counts calls from now on. `read` tells the ends of calls that were not
   * told yet, and gives all other metrics; `onRouted` hears of what a gateway passes on.
   */
  meter(options: CallMeterOptions & { readonly onRouted: RouteListener }): {
    readonly read: () => readonly Sample[];
    readonly stop: Unsubscribe;
  } {
    const meter = new CallMeter(options);
    const stop = this.onCall(meter);
    const stopRouted = this.runtime.routed.observe(options.onRouted);
    const read = (): readonly Sample[] => {
      meter.flush();
      return readMetrics({ snapshot: this.snapshot(), tally: this.runtime.tally, meter });
    };
    return {
      read,
      stop: () => {
        stop();
        stopRouted();
        meter.flush();
      },
    };
  }

  /** The instances of a service, in the order of its list, if it is watched; nobody is asked, and no watch is opened. */
  instances(service: string): readonly InstanceTelemetry[] | undefined {
    const { views, balancers } = this.runtime;
    const view = views.peek(service);
    if (view === undefined) return undefined;
    const seen = new Map(balancers.peek(view)?.states.map((state) => [state.instance.url, state]));
    const callable = new Set(routableInstances(view.current));
    return view.current.instances.map((instance) => {
      const { ejectedForMs, ...counts } = (callable.has(instance) && seen.get(instance.url)) || NOTHING_SEEN;
      const state = !callable.has(instance) ? 'down' : ejectedForMs > 0 ? 'ejected' : 'routable';
      return { ...counts, instance, state, ejectedForMs };
    });
  }

  private routes(): readonly RouteTelemetry[] {
    const { routed } = this.runtime;
    const circuits = new Map<string, RouteCircuit>();
    return routed.routes().map(({ id, service }) => {
      let circuit = circuits.get(service);
      if (circuit === undefined) circuits.set(service, (circuit = this.circuit(service)));
      const { requests, failed, totalMs } = routed.countsOf(id);
      return { route: id, service, circuit, requests, failed, averageMs: requests === 0 ? 0 : totalMs / requests };
    });
  }

  private circuit(service: string): RouteCircuit {
    const view = this.runtime.views.peek(service);
    if (view === undefined || view.current.state === 'unknown') return 'unknown';
    const states = this.runtime.balancers.peek(view)?.states ?? [];
    if (routableInstances(view.current).length === 0) return 'open';
    const out = states.filter(({ ejectedForMs }) => ejectedForMs > 0).length;
    if (states.length > 0 && out === states.length) return 'open';
    return out > 0 || states.some(({ onProbation }) => onProbation) ? 'half-open' : 'closed';
  }

  /** One of the snapshot's services, if it is watched. */
  service(service: string): ServiceTelemetry | undefined {
    const { views, balancers } = this.runtime;
    const view = views.peek(service);
    if (view === undefined) return undefined;
    const { state, instances, partial = [], error } = view.current;
    const callable = routableInstances(view.current).length;
    const ejected = balancers.peek(view)?.ejected ?? 0;
    return {
      service,
      state,
      since: view.since,
      routable: callable - ejected,
      ejected,
      down: instances.length - callable,
      partial,
      ...defined({ error }),
    };
  }
}
