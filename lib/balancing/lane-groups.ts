import type { ServiceInstance } from '../model/index.js';
import type { TrackedEndpoint } from './endpoint.js';
import type { GroupMembers, InstanceGroup } from './instance-group.js';
import type { Fits, Lanes } from './lanes.js';
import type { PickContext } from './picker.js';

/** Groups that are kept; of more, the one that wasn't called for the longest time is built anew when it is. */
const MAX_GROUPS = 64;

interface Built {
  readonly group: InstanceGroup;
  /** The list that it was built of. */
  list: number;
}

/** The groups of a service whose calls have lanes or versions: each is built by the first call of its kind after a change. */
export class LaneGroups {
  private readonly groups = new Map<string, Built>();
  private list = 0;
  private endpoints: readonly TrackedEndpoint[] = [];
  private usable: readonly TrackedEndpoint[] = [];
  private members: readonly ServiceInstance[] = [];

  constructor(
    private readonly lanes: Lanes,
    private readonly create: () => InstanceGroup,
  ) {}

  /** Takes a new list. */
  build(
    endpoints: readonly TrackedEndpoint[],
    usable: readonly TrackedEndpoint[],
    members: readonly ServiceInstance[],
  ): void {
    this.list += 1;
    this.endpoints = endpoints;
    this.usable = usable;
    this.members = members;
    this.lanes.survey(endpoints.map(({ instance }) => instance));
  }

  /** The group that a call goes to; undefined when it goes nowhere. */
  of(context: PickContext): InstanceGroup | undefined {
    const key = this.lanes.keyFor(context);
    if (key === undefined) return undefined;
    let built = this.groups.get(key);
    if (built?.list === this.list) return built.group;
    built ??= { group: this.create(), list: 0 };
    built.group.build(this.membersOf(this.lanes.tiersFor(context)));
    built.list = this.list;
    // Put at the end again: the first of the map wasn't built for the longest time.
    this.groups.delete(key);
    this.groups.set(key, built);
    for (const oldest of this.groups.keys()) {
      if (this.groups.size <= MAX_GROUPS) break;
      this.groups.delete(oldest);
    }
    return built.group;
  }

  pendingChanged(endpoint: TrackedEndpoint): void {
    for (const { group } of this.groups.values()) group.pendingChanged(endpoint);
  }

  /** The first tier that has somebody who isn't left out; where all are left out, they are called all the same. */
  private membersOf(tiers: readonly Fits[]): GroupMembers {
    const among = (list: readonly TrackedEndpoint[], fits: Fits): readonly TrackedEndpoint[] =>
      list.filter(({ instance }) => fits(instance));
    const usable = tiers.map((fits) => among(this.usable, fits));
    const first = usable.findIndex(({ length }) => length > 0);
    const at = first === -1 ? tiers.findIndex((fits) => among(this.endpoints, fits).length > 0) : first;
    const fits = tiers[at];
    if (fits === undefined) return { endpoints: [], usable: [], reserve: [], members: [] };
    const endpoints = among(this.endpoints, fits);
    return {
      endpoints,
      usable: first === -1 ? endpoints : (usable[at] ?? []),
      reserve: usable.slice(at + 1).flat(),
      members: this.members.filter(fits),
    };
  }
}
