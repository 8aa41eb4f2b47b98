import { DEFAULT_ZONE, type EurekaInstance } from './eureka.instance.js';
import { instanceOf, type InstanceRecord } from './eureka.record.js';

const NO_INSTANCES: readonly EurekaInstance[] = Object.freeze([]);

/** What changed of an application: by instance id, undefined for one that is gone. */
export type ApplicationChanges = ReadonlyMap<string, InstanceRecord | undefined>;

const NO_CHANGES: ApplicationChanges = new Map();

/** One application and its instances. Immutable. */
export class Application {
  private list: readonly EurekaInstance[] | undefined;
  private up: readonly EurekaInstance[] | undefined;

  /** @param base not changed any more */
  constructor(
    /** In capitals, as the server has it. */
    readonly name: string,
    private base: ReadonlyMap<string, InstanceRecord>,
    /** What differs from `base`; folded into it when somebody wants the whole. */
    private changes: ApplicationChanges = NO_CHANGES,
    /** How many instances there are. */
    readonly size: number = base.size,
  ) {}

  /** All instances, whatever their status. */
  get instances(): readonly EurekaInstance[] {
    this.list ??= this.size === 0 ? NO_INSTANCES : Object.freeze(Array.from(this.records, instanceOf));
    return this.list;
  }

  /** Those that may be called. */
  get upInstances(): readonly EurekaInstance[] {
    this.up ??= Object.freeze(this.instances.filter((instance) => instance.status === 'UP'));
    return this.up;
  }

  /** The instance with that id, in whatever state; undefined when there is none. */
  getInstance(instanceId: string): EurekaInstance | undefined {
    const record = this.getRecord(instanceId);
    return record && instanceOf(record);
  }

  /** Those of `upInstances` that run in the zone. @param zone an empty one means `default` */
  upInstancesInZone(zone: string): readonly EurekaInstance[] {
    const wanted = zone === '' ? DEFAULT_ZONE : zone;
    return this.upInstances.filter((instance) => instance.zone === wanted);
  }

  /** Those of `upInstances` that run elsewhere. @param zone an empty one means `default` */
  upInstancesNotInZone(zone: string): readonly EurekaInstance[] {
    const wanted = zone === '' ? DEFAULT_ZONE : zone;
    return this.upInstances.filter((instance) => instance.zone !== wanted);
  }

  /** @internal What the instances are made of. */
  get records(): Iterable<InstanceRecord> {
    return this.folded().values();
  }

  /** @internal */
  getRecord(instanceId: string): InstanceRecord | undefined {
    return this.changes.has(instanceId) ? this.changes.get(instanceId) : this.base.get(instanceId);
  }

  /** @internal Any of the records, whether it is still there or not. */
  get anyRecord(): InstanceRecord | undefined {
    for (const record of this.base.values()) return record;
    return undefined;
  }

  /**
   * The application after changes. Costs what the changes are, not what the application is.
   *
   * @internal
   */
  with(changes: ApplicationChanges): Application {
    let { size } = this;
    for (const [id, record] of changes) {
      size += (record === undefined ? 0 : 1) - (this.getRecord(id) === undefined ? 0 : 1);
    }
    const all = this.changes.size === 0 ? changes : new Map([...this.changes, ...changes]);
    // Folded now and then: what goes on changing must not remember all that it was.
    if (all.size * 4 > this.base.size) return new Application(this.name, fold(this.base, all));
    return new Application(this.name, this.base, all, size);
  }

  private folded(): ReadonlyMap<string, InstanceRecord> {
    if (this.changes.size > 0) {
      this.base = fold(this.base, this.changes);
      this.changes = NO_CHANGES;
    }
    return this.base;
  }
}

function fold(
  base: ReadonlyMap<string, InstanceRecord>,
  changes: ApplicationChanges,
): ReadonlyMap<string, InstanceRecord> {
  const folded = new Map(base);
  for (const [id, record] of changes) {
    if (record === undefined) folded.delete(id);
    else folded.set(id, record);
  }
  return folded;
}

/** The registry at one moment. Immutable: the client's `applications` is another object after a change. */
export class Applications {
  /** @param byName by names in capitals; not changed any more */
  constructor(
    private readonly byName: ReadonlyMap<string, Application>,
    /** The server's checksum of the statuses, as this client counts them. */
    readonly hashcode: string = '',
  ) {}

  get size(): number {
    return this.byName.size;
  }

  /** In capitals. */
  get names(): readonly string[] {
    return [...this.byName.keys()];
  }

  get all(): readonly Application[] {
    return [...this.byName.values()];
  }

  /**
   * One application; its case doesn't matter. One that isn't there has no instances: it is never undefined.
   */
  getApplication(name: string): Application {
    const key = name.toUpperCase();
    return this.byName.get(key) ?? new Application(key, new Map());
  }
}
