import { actionOf, decodeRecord, hashOf, statusOf, type DecodedApplications } from '../eureka.codec.js';
import { Application, Applications } from '../eureka.applications.js';
import { isSameVersion, type InstanceRecord } from '../eureka.record.js';

/** A record that can't be read at all. */
export interface UnreadableRecord {
  readonly application: string;
  readonly record: unknown;
}

/** What an answer of the server changed. */
export interface CacheChange {
  /** Names of the applications that are not what they were, in capitals. */
  readonly changed: ReadonlySet<string>;
  readonly unreadable: readonly UnreadableRecord[];
}

type ById = Map<string, InstanceRecord>;

const EMPTY: ReadonlyMap<string, Application> = new Map();

/**
 * The registry as this client knows it: a full answer replaces it, a delta changes what it names. Instances and
 * applications that did not change stay the same objects.
 */
export class RegistryCache {
  private byName: ReadonlyMap<string, Application> = EMPTY;
  /** How many instances there are of each status, before anything is filtered: what the server's checksum counts. */
  private counts = new Map<string, number>();
  private snapshot: Applications | undefined;

  /** The registry at this moment. */
  get applications(): Applications {
    this.snapshot ??= new Applications(this.byName, this.hashcode);
    return this.snapshot;
  }

  get isEmpty(): boolean {
    return this.byName.size === 0;
  }

  /** To be compared with the server's `apps__hashcode`. */
  get hashcode(): string {
    return hashOf(this.counts);
  }

  /** Takes a full answer. */
  replace(answer: DecodedApplications): CacheChange {
    const unreadable: UnreadableRecord[] = [];
    const counts = new Map<string, number>();
    const found = new Map<string, ById>();
    for (const { name, records } of answer.applications) {
      const key = name.toUpperCase();
      const known = this.byName.get(key);
      let instances = found.get(key);
      if (instances === undefined) found.set(key, (instances = new Map()));
      let like = known?.anyRecord;
      for (const record of records) {
        const instance = decodeRecord(record, key, like);
        like = instance ?? like;
        // Counted also when it can't be used: the server counts it too.
        count(counts, instance?.status ?? statusOf(record), 1);
        if (instance === undefined) unreadable.push({ application: key, record });
        else instances.set(instance.instanceId, kept(known?.getRecord(instance.instanceId), instance));
      }
    }
    const next = new Map<string, Application>();
    const changed = new Set<string>();
    for (const [name, instances] of found) {
      if (instances.size === 0) continue;
      const known = this.byName.get(name);
      if (known !== undefined && isSame(known, instances)) next.set(name, known);
      else {
        next.set(name, new Application(name, instances));
        changed.add(name);
      }
    }
    for (const name of this.byName.keys()) if (!next.has(name)) changed.add(name);
    this.set(next, counts);
    return { changed, unreadable };
  }

  /** Takes a delta: its records in the order in which they come, of which later ones may repeat earlier ones. */
  apply(answer: DecodedApplications): CacheChange {
    const unreadable: UnreadableRecord[] = [];
    const counts = new Map(this.counts);
    const touched = new Map<string, Map<string, InstanceRecord | undefined>>();
    for (const { name, records } of answer.applications) {
      const key = name.toUpperCase();
      const known = this.byName.get(key);
      const like = known?.anyRecord;
      for (const record of records) {
        const instance = decodeRecord(record, key, like);
        if (instance === undefined) {
          unreadable.push({ application: key, record });
          continue;
        }
        const id = instance.instanceId;
        let changes = touched.get(key);
        const before = changes?.has(id) === true ? changes.get(id) : known?.getRecord(id);
        const removed = actionOf(record) === 'DELETED';
        // Nothing to do for what is known: servers repeat a change for three minutes.
        if (removed ? before === undefined : before !== undefined && isSameVersion(before, instance)) continue;
        if (changes === undefined) touched.set(key, (changes = new Map()));
        changes.set(id, removed ? undefined : instance);
        if (before !== undefined) count(counts, before.status, -1);
        if (!removed) count(counts, instance.status, 1);
      }
    }
    if (touched.size > 0) {
      const next = new Map(this.byName);
      for (const [name, changes] of touched) {
        const application = (next.get(name) ?? new Application(name, new Map())).with(changes);
        if (application.size === 0) next.delete(name);
        else next.set(name, application);
      }
      this.set(next, counts);
    }
    const changed: ReadonlySet<string> = new Set(touched.keys());
    return { changed, unreadable };
  }

  private set(byName: ReadonlyMap<string, Application>, counts: Map<string, number>): void {
    this.byName = byName;
    this.counts = counts;
    this.snapshot = undefined;
  }
}

function kept(before: InstanceRecord | undefined, now: InstanceRecord): InstanceRecord {
  return before !== undefined && isSameVersion(before, now) ? before : now;
}

function isSame(application: Application, instances: ReadonlyMap<string, InstanceRecord>): boolean {
  if (application.size !== instances.size) return false;
  for (const [id, instance] of instances) if (application.getRecord(id) !== instance) return false;
  return true;
}

function count(counts: Map<string, number>, status: string, by: number): void {
  counts.set(status, (counts.get(status) ?? 0) + by);
}
