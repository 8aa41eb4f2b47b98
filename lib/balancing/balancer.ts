import type { ServiceInstance } from '../model/index.js';
import { hash } from './consistent-hash.js';
import { Endpoint, type Outcome } from './endpoint.js';
import { OutlierDetector, type EjectionOptions } from './outlier-detector.js';
import type { LoadBalancer, PickContext, Picker } from './picker.js';

/** How the instances of a service are narrowed down before one is picked. */
export interface RoutingOptions {
  /**
   * Prefer instances of this zone. When it is short of usable instances (fewer than 1 / 1.4 of those that it has), the
   * part of the calls that it lacks goes to the other zones; when it has none, all do.
   */
  readonly zone?: string;
  /** Only instances with this metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Name of the metadata that a call's hint is compared with. @default 'hint' */
  readonly hintMetadata?: string;
  /** Use this many of the instances, chosen by hashing this app's id, so that huge services don't get a connection from everybody. */
  readonly subset?: number;
  /** New instances get their full share only after this time, in milliseconds, beginning with a tenth. @default 0 */
  readonly warmUpMs?: number;
}

/** Options of a {@link Balancer}. */
export interface BalancerOptions {
  readonly loadBalancer: LoadBalancer;
  /** Milliseconds, of any origin; asked once for each pick. */
  readonly now: () => number;
  readonly random: () => number;
  /** Spreads subsets. */
  readonly clientId: string;
  readonly routing?: RoutingOptions;
  /** @default on, with its defaults */
  readonly ejection?: EjectionOptions | false;
  /** Told when an instance is left out. */
  readonly onEject?: (instance: ServiceInstance, untilMs: number) => void;
  /** Told when an instance is no longer one of those to call. */
  readonly onGone?: (instance: ServiceInstance) => void;
}

/** A zone that has at least 1 / 1.4 of its instances serves all of its calls. */
const OVERPROVISIONING = 1.4;

/** Hints that get a picker of their own. */
const MAX_HINTS = 64;

/** The share of a new instance's calls at the start of its warm-up. */
const WARM_UP_START = 0.1;

/** An instance can't be away for longer than this by its own word, in milliseconds. */
const MAX_PUSH_BACK_MS = 300_000;

/** Calls go to one of two groups: those near, by this share, and the others. */
interface Pickers {
  readonly near: Picker;
  readonly far: Picker | undefined;
  readonly nearShare: number;
}

/**
 * Picks one of a service's instances: narrows them down, leaves out those that fail, and asks the strategy. All of that
 * is worked out when the list or the ejections change; a pick is the strategy's pick.
 */
export class Balancer {
  private readonly detector: OutlierDetector | undefined;
  private known = new Map<string, Endpoint>();
  private endpoints: readonly Endpoint[] = [];
  private members: readonly ServiceInstance[] = [];
  private pickers: Pickers | undefined;
  private hinted = new Map<string, Picker | undefined>();
  /** When an ejected endpoint comes back. */
  private changesAt = Infinity;
  /** Whether somebody may be on probation. */
  private probing = false;
  /** Until when somebody is warming up. */
  private warmAt = 0;

  constructor(private readonly options: BalancerOptions) {
    const { ejection = {}, onEject } = options;
    if (ejection === false) return;
    this.detector = new OutlierDetector(ejection, options.now(), (endpoint) => {
      onEject?.(endpoint.instance, endpoint.ejectedUntil - options.now());
      this.build(options.now());
    });
  }

  /**
   * Takes a new list.
   *
   * @param callable the instances that may be called
   * @param all all instances of the snapshot, by which a zone's shortage is measured
   */
  update(callable: readonly ServiceInstance[], all: readonly ServiceInstance[]): void {
    const now = this.options.now();
    const chosen = this.narrow(callable);
    const first = this.known.size === 0;
    const known = new Map<string, Endpoint>();
    for (const instance of chosen) {
      // Those of the first list are not new: nobody would be left to take their share.
      const endpoint = this.known.get(instance.url) ?? new Endpoint(instance, first ? -Infinity : now);
      endpoint.instance = instance;
      known.set(instance.url, endpoint);
    }
    const { onGone } = this.options;
    if (onGone !== undefined) {
      for (const [url, { instance }] of this.known) if (!known.has(url)) onGone(instance);
    }
    this.known = known;
    this.endpoints = [...known.values()];
    this.members = all;
    this.build(now);
  }

  /** An endpoint to call, or undefined when there is none. */
  pick(context: PickContext): Endpoint | undefined {
    const now = this.options.now();
    if (now >= this.changesAt) this.build(now);
    const picker = this.pickerFor(context);
    const endpoint = picker?.pick(context, now);
    // Most of the time nobody is, and a pick need not even look at what it returns.
    if (endpoint === undefined || !(this.probing || now < this.warmAt)) return endpoint;
    return this.isHeldBack(endpoint, now) ? this.pickAnother(picker, endpoint, context, now) : endpoint;
  }

  /** Those that calls may go to, with what was seen of them. */
  get candidates(): readonly Endpoint[] {
    return this.endpoints;
  }

  /** A call to the endpoint begins; returns the time, for {@link end}. */
  begin(endpoint: Endpoint): number {
    endpoint.pending += 1;
    this.pendingChanged(endpoint);
    return this.options.now();
  }

  /** The call that began at `startedAt` has ended. To be called once for each {@link begin}. */
  end(endpoint: Endpoint, startedAt: number, outcome: Outcome): void {
    endpoint.pending -= 1;
    this.pendingChanged(endpoint);
    if (outcome === 'cancelled') return;
    const now = this.options.now();
    if (outcome === 'overtaken') {
      endpoint.latencyMs = Math.max(endpoint.latencyMs, now - startedAt);
      return;
    }
    const failed = this.detector?.isFailure(outcome) ?? outcome !== 'success';
    endpoint.measure(now, now - startedAt, failed);
    this.detector?.settle(endpoint, failed, this.endpoints, now);
  }

  /** The instance asks to be left alone for a while (`Retry-After`): it is left out, unless nobody else is there. */
  pushBack(endpoint: Endpoint, forMs: number): void {
    if (this.detector === undefined || forMs <= 0) return;
    const now = this.options.now();
    endpoint.ejectedUntil = Math.max(endpoint.ejectedUntil, now + Math.min(forMs, MAX_PUSH_BACK_MS));
    this.build(now);
  }

  private narrow(callable: readonly ServiceInstance[]): readonly ServiceInstance[] {
    const { metadata, subset } = this.options.routing ?? {};
    const wanted = metadata === undefined ? undefined : Object.entries(metadata);
    const fitting =
      wanted === undefined
        ? callable
        : callable.filter((instance) => wanted.every(([key, value]) => instance.metadata[key] === value));
    if (subset === undefined || fitting.length <= subset) return fitting;
    // Rendezvous hashing: who comes or goes changes as many members as it must.
    const { clientId } = this.options;
    return fitting
      .map((instance) => ({ instance, rank: hash(`${clientId} ${instance.url}`) }))
      .sort((a, b) => a.rank - b.rank)
      .slice(0, subset)
      .map(({ instance }) => instance);
  }

  private build(now: number): void {
    const usable = this.detector?.usable(this.endpoints, now) ?? this.endpoints;
    this.probing = usable.some(({ onProbation }) => onProbation);
    this.changesAt = Math.min(Infinity, ...this.endpoints.map(({ ejectedUntil }) => ejectedUntil || Infinity));
    const { warmUpMs = 0 } = this.options.routing ?? {};
    const cold = warmUpMs === 0 ? [] : usable.filter(({ addedAt }) => addedAt + warmUpMs > now);
    this.warmAt = cold.length === usable.length ? 0 : Math.max(0, ...cold.map(({ addedAt }) => addedAt + warmUpMs));
    this.pickers = this.buildPickers(usable);
    this.hinted = new Map();
  }

  private buildPickers(usable: readonly Endpoint[]): Pickers {
    const { loadBalancer, routing } = this.options;
    const zone = routing?.zone;
    const near = zone === undefined ? usable : usable.filter(({ instance }) => instance.zone === zone);
    if (near.length === usable.length || near.length === 0) {
      return { near: loadBalancer(usable, this.pickers?.near), far: undefined, nearShare: 1 };
    }
    const members = this.members.reduce((count, instance) => (instance.zone === zone ? count + 1 : count), 0);
    const nearShare = Math.min(1, (OVERPROVISIONING * near.length) / Math.max(members, 1));
    const far = usable.filter(({ instance }) => instance.zone !== zone);
    return { near: loadBalancer(near, this.pickers?.near), far: loadBalancer(far, this.pickers?.far), nearShare };
  }

  private pickerFor(context: PickContext): Picker | undefined {
    const { pickers } = this;
    if (pickers === undefined) return undefined;
    if (context.hint !== undefined) {
      const hinted = this.hintedPicker(context.hint);
      if (hinted !== undefined) return hinted;
    }
    const { near, far, nearShare } = pickers;
    if (far === undefined) return near;
    // A retry may leave the zone: what failed there may have failed for the zone's sake.
    if (context.tried !== undefined && this.options.random() < 0.5) return far;
    return nearShare === 1 || this.options.random() < nearShare ? near : far;
  }

  private hintedPicker(hint: string): Picker | undefined {
    if (this.hinted.has(hint)) return this.hinted.get(hint);
    // Hints come from outside.
    if (this.hinted.size >= MAX_HINTS) return undefined;
    const name = this.options.routing?.hintMetadata ?? 'hint';
    const fitting = this.endpoints.filter(
      ({ instance, ejectedUntil }) => ejectedUntil === 0 && instance.metadata[name] === hint,
    );
    const picker = fitting.length === 0 ? undefined : this.options.loadBalancer(fitting, undefined);
    this.hinted.set(hint, picker);
    return picker;
  }

  /** An endpoint on probation gets one call at a time; one that warms up gets a part of its calls. */
  private isHeldBack(endpoint: Endpoint, now: number): boolean {
    if (endpoint.onProbation && endpoint.pending > 0) return true;
    if (now >= this.warmAt) return false;
    const { warmUpMs = 0 } = this.options.routing ?? {};
    const age = now - endpoint.addedAt;
    return age < warmUpMs && this.options.random() > Math.max(WARM_UP_START, age / warmUpMs);
  }

  private pickAnother(picker: Picker | undefined, held: Endpoint, context: PickContext, now: number): Endpoint {
    const tried = new Set(context.tried).add(held.instance.url);
    const other = picker?.pick({ ...context, tried }, now);
    // All others were tried already: then better this one.
    return other === undefined || context.tried?.has(other.instance.url) === true ? held : other;
  }

  private pendingChanged(endpoint: Endpoint): void {
    const { pickers } = this;
    pickers?.near.pendingChanged?.(endpoint);
    pickers?.far?.pendingChanged?.(endpoint);
    if (this.hinted.size > 0) for (const picker of this.hinted.values()) picker?.pendingChanged?.(endpoint);
  }
}
