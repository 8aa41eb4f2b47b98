import type { ServiceInstance, Snapshot } from '../model/index.js';
import { hash } from './consistent-hash.js';
import type { Endpoint } from './endpoint.js';
import { Lanes, type LaneOptions, type VersionOptions } from './lanes.js';

/** How the instances of a service are narrowed down before one is picked. */
export interface RoutingOptions {
  /**
   * Prefer instances of this zone. When it is short of usable instances (fewer than 1 / 1.4 of those that it has), the
   * part of the calls that it lacks goes to the other zones; when it has none, all do.
   */
  readonly zone?: string;
  /** Only instances with this metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Only instances with all these tags. */
  readonly tags?: readonly string[];
  /** Name of the metadata that a call's hint is compared with. @default 'hint' */
  readonly hintMetadata?: string;
  /** Keeps calls of one lane together, and all others out of it. @default none */
  readonly lane?: LaneOptions;
  /** Sends calls to instances of the version of the API that they name. @default none */
  readonly version?: VersionOptions;
  /** Use this many of the instances, chosen by hashing this app's id, so that huge services don't get a connection from everybody. */
  readonly subset?: number;
  /** New instances get their full share only after this time, in milliseconds, beginning with a tenth. @default 0 */
  readonly warmUpMs?: number;
}

/** A zone that has at least 1 / 1.4 of its instances serves all of its calls. */
const OVERPROVISIONING = 1.4;

/** The share of a new instance's calls at the start of its warm-up. */
const WARM_UP_START = 0.1;

const routable = new WeakMap<Snapshot, readonly ServiceInstance[]>();

/** The instances of a snapshot that may be called: UP, with a weight. Worked out once per snapshot. */
export function routableInstances(snapshot: Snapshot): readonly ServiceInstance[] {
  let instances = routable.get(snapshot);
  if (instances === undefined) {
    instances = Object.freeze(snapshot.instances.filter(({ status, weight }) => status === 'UP' && weight > 0));
    routable.set(snapshot, instances);
  }
  return instances;
}

/** Which of a service's instances calls may go to, and which they prefer. It picks none. */
export class Routing {
  private readonly hintMetadata: string;
  private readonly warmUpMs: number;
  /** Who may reach whom; undefined when everybody may reach all. */
  readonly lanes: Lanes | undefined;

  /**
   * @param clientId spreads subsets
   * @param schemes of the instances that may be called; undefined for any
   */
  constructor(
    private readonly options: RoutingOptions,
    private readonly clientId: string,
    private readonly schemes?: readonly string[],
  ) {
    this.hintMetadata = options.hintMetadata ?? 'hint';
    this.warmUpMs = options.warmUpMs ?? 0;
    const { lane, version } = options;
    this.lanes = lane === undefined && version === undefined ? undefined : new Lanes(lane, version);
  }

  /** Those that calls may go to at all: strict. */
  narrow<E extends Endpoint>(endpoints: readonly E[]): readonly E[] {
    const { metadata, tags = [], subset } = this.options;
    const wanted = Object.entries(metadata ?? {});
    const { schemes } = this;
    const speaking =
      schemes === undefined ? endpoints : endpoints.filter(({ instance }) => schemes.includes(instance.scheme));
    const fitting =
      wanted.length === 0 && tags.length === 0
        ? speaking
        : speaking.filter(
            ({ instance }) =>
              wanted.every(([key, value]) => instance.metadata[key] === value) &&
              tags.every((tag) => instance.tags.includes(tag)),
          );
    if (subset === undefined || fitting.length <= subset) return fitting;
    // Rendezvous hashing: who comes or goes changes as many members as it must. A lane's few are everybody's.
    const ranked = fitting
      .filter(({ instance }) => this.lanes?.isInLane(instance) !== true)
      .map((endpoint) => ({ endpoint, rank: hash(`${this.clientId} ${endpoint.instance.url}`) }))
      .sort((a, b) => a.rank - b.rank)
      .slice(0, subset)
      .map(({ endpoint }) => endpoint);
    return [...ranked, ...fitting.filter(({ instance }) => this.lanes?.isInLane(instance) === true)];
  }

  /**
   * Those near, the share of the calls that goes to them, and the others; undefined when there is no such difference.
   * @param members all instances of the service, by which the zone's shortage is measured
   */
  zones<E extends Endpoint>(
    usable: readonly E[],
    members: readonly ServiceInstance[],
  ): { readonly near: readonly E[]; readonly far: readonly E[]; readonly nearShare: number } | undefined {
    const { zone } = this.options;
    if (zone === undefined) return undefined;
    const near = usable.filter(({ instance }) => instance.zone === zone);
    if (near.length === usable.length || near.length === 0) return undefined;
    const inZone = members.reduce((count, instance) => (instance.zone === zone ? count + 1 : count), 0);
    const nearShare = Math.min(1, (OVERPROVISIONING * near.length) / Math.max(inZone, 1));
    return { near, far: usable.filter(({ instance }) => instance.zone !== zone), nearShare };
  }

  /** Those that a call's hint means. */
  hinted<E extends Endpoint>(endpoints: readonly E[], hint: string): readonly E[] {
    return endpoints.filter(({ instance }) => instance.metadata[this.hintMetadata] === hint);
  }

  /** Until when somebody is warming up; 0 when nobody is, or all are: nobody would be left to take their share. */
  warmAt(usable: readonly Endpoint[], now: number): number {
    if (this.warmUpMs === 0) return 0;
    const ends = usable.map(({ addedAt }) => addedAt + this.warmUpMs).filter((end) => end > now);
    return ends.length === usable.length ? 0 : Math.max(0, ...ends);
  }

  /** Whether an endpoint that warms up is passed over this time. */
  passesOver({ addedAt }: Endpoint, now: number, random: () => number): boolean {
    const age = now - addedAt;
    return age < this.warmUpMs && random() > Math.max(WARM_UP_START, age / this.warmUpMs);
  }
}
