import { defined } from './defined.js';
import type { DiscoveryError } from './errors.js';
import { differenceOf, keepAligned } from './keep-aligned.js';
import { sameInstance, type ServiceInstance } from './service-instance.js';

/**
 * How far a snapshot can be trusted.
 * - `unknown`: nobody could say yet (not the same as "there are none");
 * - `fresh`: the registry's word, watched;
 * - `stale`: the last word before the registry stopped answering. It is served on.
 */
export type SnapshotState = 'unknown' | 'fresh' | 'stale';

/** An immutable list of a service's instances, with its state and age. */
export interface Snapshot {
  readonly service: string;
  /** All known instances, whatever their status. */
  readonly instances: readonly ServiceInstance[];
  readonly state: SnapshotState;
  /** When a registry last confirmed the list, in milliseconds since the epoch; absent while `unknown`. */
  readonly asOf?: number;
  /** Why the state isn't `fresh`, or why some backends are missing. */
  readonly error?: DiscoveryError;
  /** Names of the backends that could not be asked; absent when all could. */
  readonly partial?: readonly string[];
}

const NO_INSTANCES: readonly ServiceInstance[] = Object.freeze([]);

/** The snapshot before anybody answered. */
export function unknownSnapshot(service: string, error?: DiscoveryError, partial: readonly string[] = []): Snapshot {
  return Object.freeze({
    service,
    instances: NO_INSTANCES,
    state: 'unknown' as const,
    ...defined({ error }),
    ...(partial.length === 0 ? {} : { partial: Object.freeze([...partial]) }),
  });
}

/** What changed between two lists of one service, matched by `url`. */
export interface InstancesDiff {
  readonly added: readonly ServiceInstance[];
  readonly removed: readonly ServiceInstance[];
  readonly changed: readonly { readonly before: ServiceInstance; readonly after: ServiceInstance }[];
}

/**
 * Compares two lists of one service. Instances that are the same object cost one look-up. Of several records with one
 * `url` the first counts.
 */
export function diffInstances(before: readonly ServiceInstance[], after: readonly ServiceInstance[]): InstancesDiff {
  const { start, end } = differenceOf(before, after, Object.is);
  const urls = new Set([before, after].flatMap((list) => list.slice(start, list.length - end).map(({ url }) => url)));
  const old = firstByUrl(before, urls);
  const now = firstByUrl(after, urls);
  const added: ServiceInstance[] = [];
  const changed: { before: ServiceInstance; after: ServiceInstance }[] = [];
  for (const [url, instance] of now) {
    const previous = old.get(url);
    if (previous === undefined) added.push(instance);
    else if (!sameInstance(previous, instance)) changed.push({ before: previous, after: instance });
    old.delete(url);
  }
  return { added, removed: [...old.values()], changed };
}

/** True when nothing was added, removed or changed. */
export function isEmptyDiff(diff: InstancesDiff): boolean {
  return diff.added.length === 0 && diff.removed.length === 0 && diff.changed.length === 0;
}

/**
 * `next`, with every unchanged instance replaced by the object that `previous` held for it, and `previous` itself when
 * nothing changed: so statistics, tables and subscribers can compare by identity.
 */
export function keepIdentity(
  previous: readonly ServiceInstance[],
  next: readonly ServiceInstance[],
): readonly ServiceInstance[] {
  return keepAligned(previous, next, { same: sameInstance, sameKey: sameRecord, keyOf: recordOf });
}

/** {@link keepIdentity} for lists whose order means nothing: another order is no news. */
export function keepMembers(
  previous: readonly ServiceInstance[],
  next: readonly ServiceInstance[],
): readonly ServiceInstance[] {
  const kept = keepIdentity(previous, next);
  if (kept === previous || kept.length !== previous.length) return kept;
  const members = new Set(previous);
  return new Set(kept).size === members.size && kept.every((instance) => members.has(instance)) ? previous : kept;
}

/** Several records may have one url. */
function sameRecord(a: ServiceInstance, b: ServiceInstance): boolean {
  return a === b || (a.url === b.url && a.id === b.id);
}

function recordOf({ url, id }: ServiceInstance): string {
  return `${url} ${id}`;
}

/** The first instance at each of these urls. */
function firstByUrl(instances: readonly ServiceInstance[], urls: ReadonlySet<string>): Map<string, ServiceInstance> {
  const map = new Map<string, ServiceInstance>();
  if (urls.size === 0) return map;
  for (const instance of instances) {
    if (urls.has(instance.url) && !map.has(instance.url)) map.set(instance.url, instance);
  }
  return map;
}
