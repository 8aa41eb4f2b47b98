import type { ServiceInstance } from '../model/index.js';
import type { TrackedEndpoint } from './endpoint.js';
import { wasTried, type LoadBalancer, type PickContext, type Picker } from './picker.js';
import type { Routing } from './routing.js';

/** Hints that get a picker of their own. */
const MAX_HINTS = 64;

/** The instances that a group is built of. */
export interface GroupMembers {
  /** Those that calls may go to. */
  readonly endpoints: readonly TrackedEndpoint[];
  /** Those of them that are not left out. */
  readonly usable: readonly TrackedEndpoint[];
  /** Those that calls may go to when all of them were tried. */
  readonly reserve: readonly TrackedEndpoint[];
  /** All that the registry has of them, by which a zone's shortage is measured. */
  readonly members: readonly ServiceInstance[];
}

/** Calls go to one of two groups: those near, by this share, and the others. */
interface Pickers {
  readonly near: Picker;
  readonly far: Picker | undefined;
  readonly nearShare: number;
  /** Those of the far picker. */
  readonly others: readonly TrackedEndpoint[];
}

const NOBODY: GroupMembers = { endpoints: [], usable: [], reserve: [], members: [] };

/**
 * Instances that one kind of call may go to, and the pickers that choose among them: all of a service, or those of one lane
 * and version. Built anew for every list; what pickers remember is carried on.
 */
export class InstanceGroup {
  private of: GroupMembers = NOBODY;
  private pickers: Pickers | undefined;
  private hinted = new Map<string, Picker | undefined>();

  constructor(
    private readonly loadBalancer: LoadBalancer,
    private readonly routing: Routing,
    private readonly random: () => number,
    private readonly isEjected: (endpoint: TrackedEndpoint) => boolean,
  ) {}

  /** Takes a new list. */
  build(of: GroupMembers): void {
    this.of = of;
    const zones = this.routing.zones(of.usable, of.members);
    const { loadBalancer, pickers } = this;
    this.pickers = {
      near: loadBalancer.createPicker(zones?.near ?? of.usable, pickers?.near),
      far: zones && loadBalancer.createPicker(zones.far, pickers?.far),
      nearShare: zones?.nearShare ?? 1,
      others: zones?.far ?? [],
    };
    this.hinted = new Map();
  }

  /** What picks for a call; undefined before the first list. */
  pickerFor(context: PickContext): Picker | undefined {
    const { pickers } = this;
    if (pickers === undefined) return undefined;
    if (context.hint !== undefined) {
      const hinted = this.hintedPicker(context.hint);
      if (hinted !== undefined) return hinted;
    }
    const { near, far, nearShare, others } = pickers;
    if (far === undefined) return near;
    const { random } = this;
    // A retry may leave the zone: what failed there may have failed for the zone's sake.
    if (context.tried !== undefined && (random() < 0.5 || isLastWay(context, others))) return far;
    return nearShare === 1 || random() < nearShare ? near : far;
  }

  /** Whom a retry may go to, of whatever zone; a call that has a hint stays with those that it means, if there are any. */
  candidates(context: PickContext): readonly TrackedEndpoint[] {
    const fitting = context.hint === undefined ? [] : this.fitting(context.hint);
    return fitting.length === 0 ? this.of.usable : fitting;
  }

  /** Whom it may go to when all of those were tried. */
  get reserve(): readonly TrackedEndpoint[] {
    return this.of.reserve;
  }

  /** An endpoint's number of pending calls has changed. */
  pendingChanged(endpoint: TrackedEndpoint): void {
    const { pickers, hinted } = this;
    pickers?.near.pendingChanged?.(endpoint);
    pickers?.far?.pendingChanged?.(endpoint);
    if (hinted.size > 0) for (const picker of hinted.values()) picker?.pendingChanged?.(endpoint);
  }

  private hintedPicker(hint: string): Picker | undefined {
    if (this.hinted.has(hint)) return this.hinted.get(hint);
    // Hints come from outside.
    if (this.hinted.size >= MAX_HINTS) return undefined;
    const fitting = this.fitting(hint);
    const picker = fitting.length === 0 ? undefined : this.loadBalancer.createPicker(fitting, undefined);
    this.hinted.set(hint, picker);
    return picker;
  }

  /** Those that a hint means, without those that are left out. */
  private fitting(hint: string): readonly TrackedEndpoint[] {
    return this.routing.hinted(this.of.endpoints, hint).filter((endpoint) => !this.isEjected(endpoint));
  }
}

/** Whether the last try has still to leave the zone: otherwise a zone that is out could use up all tries of a call. */
function isLastWay(context: PickContext, others: readonly TrackedEndpoint[]): boolean {
  return context.last === true && !others.some((endpoint) => wasTried(context, endpoint));
}
