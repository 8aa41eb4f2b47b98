import { isDeepStrictEqual } from 'node:util';
import type { ConfigData, FlatConfig } from './formats.js';

/**
 * All documents merged, as one immutable value. Keys are dotted paths. A key that holds no value itself, but is the
 * beginning of others, gives them as an object.
 */
export class PropertyTree {
  /** The tree without any key. */
  static readonly empty = new PropertyTree(new Map());

  private readonly objects = new Map<string, ConfigData | undefined>();

  private constructor(private readonly values: FlatConfig) {}

  /**
   * Merges layers; a later one wins. A value replaces what lower layers had at or below its key, lists are replaced as a
   * whole, and null takes a key away.
   */
  static merge(layers: readonly FlatConfig[]): PropertyTree {
    const values = new Map<string, ConfigData>();
    const parents = new Map<string, number>();
    for (const layer of layers) {
      for (const key of layer.keys()) removeCovered(values, parents, key);
      for (const [key, value] of layer) {
        if (value === null) continue;
        if (!values.has(key)) for (const parent of parentsOf(key)) parents.set(parent, (parents.get(parent) ?? 0) + 1);
        values.set(key, value);
      }
    }
    return new PropertyTree(values);
  }

  /** Every key that holds a value, sorted. */
  get keys(): readonly string[] {
    return [...this.values.keys()].sort();
  }

  /** The value at a key, the object of the keys below it, or undefined. */
  get(key: string): ConfigData | undefined {
    return this.values.get(key) ?? this.objectAt(key);
  }

  /** Keys whose value isn't the same in `other`, sorted. */
  differences(other: PropertyTree): readonly string[] {
    const keys = new Set([...this.values.keys(), ...other.values.keys()]);
    return [...keys].filter((key) => !isDeepStrictEqual(this.values.get(key), other.values.get(key))).sort();
  }

  private objectAt(key: string): ConfigData | undefined {
    if (!this.objects.has(key)) this.objects.set(key, this.buildObject(key));
    return this.objects.get(key);
  }

  private buildObject(key: string): ConfigData | undefined {
    const prefix = key === '' ? '' : `${key}.`;
    const result = bare();
    for (const [path, value] of this.values) {
      if (!path.startsWith(prefix)) continue;
      const parts = path.slice(prefix.length).split('.');
      const last = parts.pop() ?? '';
      let at = result;
      for (const part of parts) at = at[part] = isBare(at[part]) ? at[part] : bare();
      // In one .properties file a key may hold a value and be the beginning of others; the object keeps the others.
      if (!isBare(at[last])) at[last] = value;
    }
    return Object.keys(result).length === 0 ? undefined : deepFreeze(result);
  }
}

type Bare = { [key: string]: ConfigData };

function bare(): Bare {
  return Object.create(null) as Bare;
}

function isBare(value: ConfigData | undefined): value is Bare {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Object.isFrozen(value);
}

function deepFreeze(value: Bare): ConfigData {
  for (const item of Object.values(value)) if (isBare(item)) deepFreeze(item);
  return Object.freeze(value);
}

function parentsOf(key: string): readonly string[] {
  const parents: string[] = [];
  for (let dot = key.indexOf('.'); dot !== -1; dot = key.indexOf('.', dot + 1)) parents.push(key.slice(0, dot));
  return parents;
}

/** Removes what a higher layer's `key` replaces: the key itself, values above it and values below it. */
function removeCovered(values: Map<string, ConfigData>, parents: Map<string, number>, key: string): void {
  for (const path of [key, ...parentsOf(key)]) remove(values, parents, path);
  if (!parents.has(key)) return;
  for (const path of values.keys()) if (path.startsWith(`${key}.`)) remove(values, parents, path);
}

function remove(values: Map<string, ConfigData>, parents: Map<string, number>, key: string): void {
  if (!values.delete(key)) return;
  for (const parent of parentsOf(key)) {
    const rest = (parents.get(parent) ?? 1) - 1;
    if (rest === 0) parents.delete(parent);
    else parents.set(parent, rest);
  }
}
