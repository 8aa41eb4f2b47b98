import type { ServiceInstance } from '../model/index.js';
import type { TrackedEndpoint } from './endpoint.js';
import type { OutlierDetector } from './outlier-detector.js';
import { InstancePick, type PickLedger } from './instance-pick.js';
import { pickUntried, wasTried, type LoadBalancer, type PickContext, type Picker } from './picker.js';
import type { Routing } from './routing.js';

/** What a {@link Route} needs of its balancer. */
export interface RouteOptions {
  readonly loadBalancer: LoadBalancer;
  readonly routing: Routing;
  /** Undefined when nobody is left out for failures. */
  readonly detector: OutlierDetector | undefined;
  readonly ledger: PickLedger;
  readonly random: () => number;
}

/** How many others are looked at in the place of one that has stalled. */
const MAX_LOOKS = 3;

/** Hints that get a picker of their own. */
const MAX_HINTS = 64;

/** Calls go to one of two groups: those near, by this share, and the others. */
interface Pickers {
  readonly near: Picker;
  readonly far: Picker | undefined;
  readonly nearShare: number;
}

/**
 * One way of picking: narrows the instances down, leaves out those that fail, and asks the strategy. All of that is worked
 * out when the list or the ejections change; a pick is the strategy's pick.
 */
export class Route {
  private endpoints: readonly TrackedEndpoint[] = [];
  private members: readonly ServiceInstance[] = [];
  /** Those of them that are not left out. */
  private usable: readonly TrackedEndpoint[] = [];
  private pickers: Pickers | undefined;
  private hinted = new Map<string, Picker | undefined>();
  /** When an ejected endpoint comes back. */
  private changesAt = Infinity;
  /** Whether somebody may be on probation. */
  private probing = false;
  /** Until when somebody is warming up. */
  private warmAt = 0;

  constructor(private readonly options: RouteOptions) {}

  /** Those that calls may go to, with what was seen of them. */
  get candidates(): readonly TrackedEndpoint[] {
    this.options.ledger.refresh();
    return this.endpoints;
  }

  /** Whether an endpoint is left out for now. */
  isEjected(endpoint: TrackedEndpoint): boolean {
    return this.options.detector?.isEjected(endpoint) === true;
  }

  /**
   * Picks an instance and counts the call to it as begun, until the pick has its outcome. Undefined when there is none.
   * A pick that knows what was `tried` gives none of that while there is another one that may be called, in whatever zone.
   */
  pick(context: PickContext): InstancePick | undefined {
    const endpoint = this.select(context);
    return endpoint && this.begin(endpoint);
  }

  /** The pick of an endpoint that was selected. */
  begin(endpoint: TrackedEndpoint): InstancePick {
    return new InstancePick(this.options.ledger, endpoint);
  }

  /** As {@link pick}, but nothing is counted: for calls of whose end nobody will tell, or that may not be made. */
  select(context: PickContext): TrackedEndpoint | undefined {
    const { ledger } = this.options;
    ledger.refresh();
    const now = ledger.now();
    if (now >= this.changesAt) this.build(now);
    const picker = this.pickerFor(context);
    const endpoint = pickFrom(picker, context, now);
    if (picker === undefined || endpoint === undefined) return endpoint;
    if (wasTried(context, endpoint)) return this.untried(context) ?? endpoint;
    if (this.isPassedOver(endpoint, context, now)) return this.answering(picker, endpoint, context, now) ?? endpoint;
    // Most of the time nobody is, and a pick need not even look at what it returns.
    if (!(this.probing || now < this.warmAt)) return endpoint;
    return this.isHeldBack(endpoint, now) ? pickAnother(picker, endpoint, context, now) : endpoint;
  }

  /**
   * Takes a new list.
   *
   * @param callable the instances that may be called
   * @param members all instances of the snapshot
   */
  update(callable: readonly TrackedEndpoint[], members: readonly ServiceInstance[], now: number): void {
    this.endpoints = this.options.routing.narrow(callable);
    this.members = members;
    this.build(now);
  }

  /** Takes the ejections of this moment into account. */
  build(now: number): void {
    const { detector, routing, loadBalancer } = this.options;
    const usable = detector?.usable(this.endpoints, now) ?? this.endpoints;
    this.usable = usable;
    this.probing = detector !== undefined && usable.some((endpoint) => detector.isOnProbation(endpoint));
    this.changesAt = detector?.nextReturn(this.endpoints) ?? Infinity;
    this.warmAt = routing.warmAt(usable, now);
    const zones = routing.zones(usable, this.members);
    this.pickers = {
      near: loadBalancer.createPicker(zones?.near ?? usable, this.pickers?.near),
      far: zones && loadBalancer.createPicker(zones.far, this.pickers?.far),
      nearShare: zones?.nearShare ?? 1,
    };
    this.hinted = new Map();
  }

  /** An endpoint's number of pending calls has changed. */
  pendingChanged(endpoint: TrackedEndpoint): void {
    const { pickers } = this;
    pickers?.near.pendingChanged?.(endpoint);
    pickers?.far?.pendingChanged?.(endpoint);
    if (this.hinted.size > 0) for (const picker of this.hinted.values()) picker?.pendingChanged?.(endpoint);
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
    const { random } = this.options;
    // A retry may leave the zone: what failed there may have failed for the zone's sake.
    if (context.tried !== undefined && random() < 0.5) return far;
    return nearShare === 1 || random() < nearShare ? near : far;
  }

  private hintedPicker(hint: string): Picker | undefined {
    if (this.hinted.has(hint)) return this.hinted.get(hint);
    // Hints come from outside.
    if (this.hinted.size >= MAX_HINTS) return undefined;
    const fitting = this.fitting(hint);
    const picker = fitting.length === 0 ? undefined : this.options.loadBalancer.createPicker(fitting, undefined);
    this.hinted.set(hint, picker);
    return picker;
  }

  /** Those that a hint means, without those that are left out. */
  private fitting(hint: string): readonly TrackedEndpoint[] {
    return this.options.routing.hinted(this.endpoints, hint).filter((endpoint) => !this.isEjected(endpoint));
  }

  /** An untried endpoint of whatever zone; a call that has a hint stays with those that it means, if there are any. */
  private untried(context: PickContext): TrackedEndpoint | undefined {
    const fitting = context.hint === undefined ? [] : this.fitting(context.hint);
    return pickUntried(fitting.length === 0 ? this.usable : fitting, context, this.options.random);
  }

  /** Whether an endpoint has stalled. Calls that have a key stay with theirs until it is left out for its failures. */
  private isPassedOver(endpoint: TrackedEndpoint, context: PickContext, now: number): boolean {
    const { detector } = this.options;
    return detector !== undefined && context.key === undefined && endpoint.isStalled(now, detector.overdueMs);
  }

  /**
   * Another endpoint than one that has stalled: of the same picker, or of any zone. A few are looked at: where most have
   * stalled, it isn't they who are at fault.
   */
  private answering(
    picker: Picker,
    stalled: TrackedEndpoint,
    context: PickContext,
    now: number,
  ): TrackedEndpoint | undefined {
    const tried = new Set(context.tried).add(stalled.instance.url);
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      const next = pickFrom(picker, { ...context, tried }, now);
      const other = next !== undefined && !tried.has(next.instance.url) ? next : this.untried({ ...context, tried });
      if (other === undefined || tried.has(other.instance.url)) return undefined;
      if (!this.isPassedOver(other, context, now) && !this.isHeldBack(other, now)) return other;
      tried.add(other.instance.url);
    }
    return undefined;
  }

  /** An endpoint on probation gets one call at a time; one that warms up gets a part of its calls. */
  private isHeldBack(endpoint: TrackedEndpoint, now: number): boolean {
    const { detector, routing, random } = this.options;
    if (this.probing && endpoint.pending > 0 && detector?.isOnProbation(endpoint) === true) return true;
    return now < this.warmAt && routing.passesOver(endpoint, now, random);
  }
}

/** A picker gives one of those that it was made of. */
function pickFrom(picker: Picker | undefined, context: PickContext, now: number): TrackedEndpoint | undefined {
  return picker?.pick(context, now) as TrackedEndpoint | undefined;
}

function pickAnother(picker: Picker, held: TrackedEndpoint, context: PickContext, now: number): TrackedEndpoint {
  const tried = new Set(context.tried).add(held.instance.url);
  const other = pickFrom(picker, { ...context, tried }, now);
  // All others were tried already: then better this one.
  return other === undefined || context.tried?.has(other.instance.url) === true ? held : other;
}
