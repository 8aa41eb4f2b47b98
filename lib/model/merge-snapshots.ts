import { defined } from './defined.js';
import { createTags, type ServiceInstance } from './service-instance.js';
import { unknownSnapshot, type Snapshot } from './snapshot.js';

/** One backend's word on a service. */
export interface BackendSnapshot {
  readonly backend: string;
  readonly snapshot: Snapshot;
}

/**
 * Merges what several backends say of one service, by `scheme://host:port`: fresh beats stale, among equals the order of
 * the list decides the fields, and a fresh OUT_OF_SERVICE anywhere wins. Of several records that one backend has at one
 * address (an instance that died without a word, and the one started in its place) one that is UP goes before the
 * others. An instance has the tags of all backends that are as fresh. A backend that could not be asked hides nothing of the others; it is named in `partial`.
 *
 * The result is `fresh` when at least one backend is, `stale` when at least one remembers, else `unknown`.
 */
export function mergeSnapshots(service: string, parts: readonly BackendSnapshot[]): Snapshot {
  const asked = parts.filter((part) => part.snapshot.state !== 'unknown');
  const missing = parts.filter((part) => part.snapshot.state !== 'fresh');
  const error = missing.find((part) => part.snapshot.error !== undefined)?.snapshot.error;
  const partial = missing.map((part) => part.backend);
  if (asked.length === 0) return unknownSnapshot(service, error, partial);
  const state = asked.some((part) => part.snapshot.state === 'fresh') ? 'fresh' : 'stale';
  const only = asked.length === 1 ? asked[0] : undefined;
  const instances =
    only !== undefined && isUnique(only.snapshot.instances) ? only.snapshot.instances : mergeInstances(asked);
  const deciding = asked.filter((part) => part.snapshot.state === state);
  const asOf = Math.min(...deciding.map((part) => part.snapshot.asOf ?? 0));
  return Object.freeze({
    service,
    instances,
    state,
    asOf,
    ...defined({ error }),
    ...(missing.length === 0 ? {} : { partial: Object.freeze(partial) }),
  });
}

/** True when no two have one address: then there is nothing to merge. */
function isUnique(instances: readonly ServiceInstance[]): boolean {
  return new Set(instances.map((instance) => instance.url)).size === instances.length;
}

function mergeInstances(parts: readonly BackendSnapshot[]): readonly ServiceInstance[] {
  const fresh = parts.filter((part) => part.snapshot.state === 'fresh');
  const stale = parts.filter((part) => part.snapshot.state === 'stale');
  const merged = new Map<string, ServiceInstance>();
  for (const part of [...fresh, ...stale]) {
    const own = new Set<string>();
    const isFresh = part.snapshot.state === 'fresh';
    for (const instance of part.snapshot.instances) {
      const known = merged.get(instance.url);
      if (known === undefined) {
        merged.set(instance.url, instance);
        own.add(instance.url);
      } else if (own.has(instance.url) && instance.status === 'UP' && known.status !== 'OUT_OF_SERVICE') {
        if (known.status !== 'UP') merged.set(instance.url, instance);
      } else if (isFresh && instance.status === 'OUT_OF_SERVICE' && known.status !== 'OUT_OF_SERVICE') {
        merged.set(instance.url, Object.freeze({ ...known, status: instance.status }));
      }
      if (
        known !== undefined &&
        !own.has(instance.url) &&
        instance.tags.length > 0 &&
        (isFresh || fresh.length === 0)
      ) {
        addTags(merged, instance);
      }
    }
  }
  return Object.freeze([...merged.values()]);
}

function addTags(merged: Map<string, ServiceInstance>, { url, tags }: ServiceInstance): void {
  const known = merged.get(url);
  if (known === undefined || tags.every((tag) => known.tags.includes(tag))) return;
  merged.set(url, Object.freeze({ ...known, tags: createTags([...known.tags, ...tags]) }));
}
