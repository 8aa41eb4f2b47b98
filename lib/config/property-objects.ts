import type { Property } from './config-layer.js';
import type { ConfigData } from './reading/index.js';
import { canonical } from './relaxed-names.js';

type Bare = { [key: string]: ConfigData };

/** The objects that keys with common beginnings make up, put together when the first is asked for. */
export class PropertyObjects {
  private readonly root: Bare = bare();
  /** The names in each object, without regard to their spelling. */
  private readonly names = new Map<ConfigData, ReadonlyMap<string, string>>();

  constructor(properties: Iterable<Property>) {
    const branches = new Set<ConfigData>([this.root]);
    for (const { key, value } of properties) {
      const parts = key.split('.');
      const last = parts.pop() ?? '';
      let at = this.root;
      for (const part of parts) {
        const next = at[part];
        if (next !== undefined && branches.has(next)) at = next as Bare;
        else {
          const made = bare();
          branches.add(made);
          at = at[part] = made;
        }
      }
      // A key may hold a value and be the beginning of others in one document; the object keeps the others.
      const there = at[last];
      if (there === undefined || !branches.has(there)) at[last] = value;
    }
    for (const branch of branches) Object.freeze(branch);
  }

  /** The object of the keys below a key, or undefined when there are none. The empty key has all. */
  at(key: string): ConfigData | undefined {
    let found: ConfigData = this.root;
    for (const part of key === '' ? [] : key.split('.')) {
      const next = this.child(found, part);
      if (next === undefined) return undefined;
      found = next;
    }
    return Object.keys(found as object).length === 0 && key === '' ? undefined : found;
  }

  private child(at: ConfigData, part: string): ConfigData | undefined {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || at instanceof Uint8Array) return undefined;
    const object = at as Readonly<Record<string, ConfigData>>;
    if (Object.hasOwn(object, part)) return object[part];
    let names = this.names.get(at);
    if (names === undefined) {
      names = new Map(Object.keys(object).map((name) => [canonical(name), name]));
      this.names.set(at, names);
    }
    const name = names.get(canonical(part));
    return name === undefined ? undefined : object[name];
  }
}

function bare(): Bare {
  return Object.create(null) as Bare;
}
