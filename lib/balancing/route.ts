import type { ServiceInstance } from '../model/index.js';
import type { TrackedEndpoint } from './endpoint.js';
import type { OutlierDetector } from './outlier-detector.js';
import { InstanceGroup } from './instance-group.js';
import { InstancePick, type PickLedger } from './instance-pick.js';
import { LaneGroups } from './lane-groups.js';
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

/**
 * One way of picking: narrows the instances down, leaves out those that fail, and asks the strategy. All of that is worked
 * out when the list or the ejections change; a pick is the strategy's pick.
 */
export class Route {
  private endpoints: readonly TrackedEndpoint[] = [];
  private members: readonly ServiceInstance[] = [];
  /** Whom all calls go to; undefined when that depends on their lane or version. */
  private readonly everybody: InstanceGroup | undefined;
  private readonly lanes: LaneGroups | undefined;
  /** When an ejected endpoint comes back. */
  private changesAt = Infinity;
  /** Whether somebody may be on probation. */
  private probing = false;
  /** Until when somebody is warming up. */
  private warmAt = 0;

  constructor(private readonly options: RouteOptions) {
    const { loadBalancer, routing, random } = options;
    const create = (): InstanceGroup =>
      new InstanceGroup(loadBalancer, routing, random, (endpoint) => this.isEjected(endpoint));
    if (routing.lanes === undefined) this.everybody = create();
    else this.lanes = new LaneGroups(routing.lanes, create);
  }

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
    const group = this.everybody ?? this.lanes?.of(context);
    const picker = group?.pickerFor(context);
    const endpoint = pickFrom(picker, context, now);
    if (group === undefined || picker === undefined || endpoint === undefined) return endpoint;
    if (wasTried(context, endpoint)) return this.untried(group, context) ?? endpoint;
    if (this.isPassedOver(endpoint, context, now))
      return this.answering(group, picker, endpoint, context, now) ?? endpoint;
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
    const { detector, routing } = this.options;
    const { endpoints, members } = this;
    const usable = detector?.usable(endpoints, now) ?? endpoints;
    this.probing = detector !== undefined && usable.some((endpoint) => detector.isOnProbation(endpoint));
    this.changesAt = detector?.nextReturn(endpoints) ?? Infinity;
    this.warmAt = routing.warmAt(usable, now);
    this.everybody?.build({ endpoints, usable, reserve: [], members });
    this.lanes?.build(endpoints, usable, members);
  }

  /** An endpoint's number of pending calls has changed. */
  pendingChanged(endpoint: TrackedEndpoint): void {
    this.everybody?.pendingChanged(endpoint);
    this.lanes?.pendingChanged(endpoint);
  }

  /** An untried endpoint of whatever zone, of those that the call prefers or, when all of them were tried, of its reserve. */
  private untried(group: InstanceGroup, context: PickContext): TrackedEndpoint | undefined {
    const { random } = this.options;
    return pickUntried(group.candidates(context), context, random) ?? pickUntried(group.reserve, context, random);
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
    group: InstanceGroup,
    picker: Picker,
    stalled: TrackedEndpoint,
    context: PickContext,
    now: number,
  ): TrackedEndpoint | undefined {
    const tried = new Set(context.tried).add(stalled.instance.url);
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      const next = pickFrom(picker, { ...context, tried }, now);
      const other =
        next !== undefined && !tried.has(next.instance.url) ? next : this.untried(group, { ...context, tried });
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
