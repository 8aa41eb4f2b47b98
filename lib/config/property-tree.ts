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
    const merged = new Layers();
    for (const layer of layers) {
      for (const key of layer.keys()) merged.removeCovered(key);
      for (const [key, value] of layer) if (value !== null) merged.set(key, value);
    }
    return new PropertyTree(merged.values);
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

/** Values while they are merged, with the way down from each key, so that a removal costs what it removes. */
class Layers {
  readonly values = new Map<string, ConfigData>();
  /** The keys one part longer, whether they hold a value or are the beginning of others. */
  private readonly children = new Map<string, Set<string>>();

  set(key: string, value: ConfigData): void {
    this.values.set(key, value);
    for (let child = key, dot = key.lastIndexOf('.'); dot !== -1; dot = child.lastIndexOf('.')) {
      const parent = child.slice(0, dot);
      const siblings = this.children.get(parent);
      if (siblings !== undefined) {
        siblings.add(child);
        return;
      }
      this.children.set(parent, new Set([child]));
      child = parent;
    }
  }

  /** Removes what a higher layer's `key` replaces: the key itself, values above it and values below it. */
  removeCovered(key: string): void {
    for (const path of parentsOf(key)) this.values.delete(path);
    this.removeBelow(key);
  }

  private removeBelow(key: string): void {
    this.values.delete(key);
    const children = this.children.get(key);
    this.children.delete(key);
    for (const child of children ?? []) this.removeBelow(child);
  }
}
