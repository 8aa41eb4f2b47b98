import { isDeepStrictEqual } from 'node:util';
import { originOfLayer, type ConfigLayer, type ConfigOrigin, type Property } from './config-layer.js';
import { PropertyObjects } from './property-objects.js';
import type { ConfigData, ConfigEntries, ConfigEntry } from './reading/index.js';
import { canonical, parentsOf } from './relaxed-names.js';

/** Gives values for keys that no document has; environment variables. */
export type KeyFallback = (key: string) => Property | undefined;

const nothing: KeyFallback = () => undefined;

/**
 * All layers merged, as one immutable value. Keys are dotted paths, and found in whatever usual spelling they are asked for. A
 * key that holds no value itself, but is the beginning of others, gives them as an object.
 */
export class PropertyTree {
  /** The tree without any key. */
  static readonly empty = new PropertyTree([], new Map(), nothing);

  private readonly byCanonical = new Map<string, Property>();
  private objects: PropertyObjects | undefined;

  private constructor(
    /** Those that win last. */
    readonly layers: readonly ConfigLayer[],
    private readonly properties: ReadonlyMap<string, Property>,
    private readonly fallback: KeyFallback,
  ) {
    for (const [key, property] of properties) this.byCanonical.set(canonical(key), property);
  }

  /**
   * Merges layers; a later one wins. A value replaces what lower layers had at or below its key, lists are replaced as a
   * whole, and null takes a key away.
   */
  static merge(layers: readonly (ConfigEntries | ConfigLayer)[], fallback: KeyFallback = nothing): PropertyTree {
    const named = layers.map((layer) => (isLayer(layer) ? layer : { kind: 'document' as const, entries: layer }));
    const merged = mergeLayers(named);
    for (const [key, { layer }] of merged) {
      const variable = layer.kind === 'document' ? fallback(key) : undefined;
      if (variable !== undefined) merged.set(key, variable);
    }
    return new PropertyTree(named, merged, fallback);
  }

  /** The same tree with other values for some keys. */
  with(changed: ReadonlyMap<string, Property>): PropertyTree {
    if (changed.size === 0) return this;
    return new PropertyTree(this.layers, new Map([...this.properties, ...changed]), this.fallback);
  }

  /** Every key that holds a value, sorted. */
  get keys(): readonly string[] {
    return [...this.properties.keys()].sort();
  }

  /** Every key's value, in no order. */
  get all(): Iterable<Property> {
    return this.properties.values();
  }

  /** The value at a key, the object of the keys below it, or undefined. */
  get(key: string): ConfigData | undefined {
    return this.property(key)?.value ?? this.objectAt(key);
  }

  /** The value at a key with where it comes from; undefined when it has none of its own. */
  property(key: string): Property | undefined {
    return this.properties.get(key) ?? this.byCanonical.get(canonical(key)) ?? this.fallback(key);
  }

  /** What each layer that knows a key has of it, the one that wins first. */
  history(key: string): readonly { readonly layer: ConfigLayer; readonly entry: ConfigEntry }[] {
    const wanted = canonical(key);
    return this.layers.toReversed().flatMap((layer) => {
      const found = layer.entries.get(key) ?? [...layer.entries].find(([name]) => canonical(name) === wanted)?.[1];
      return found === undefined ? [] : [{ layer, entry: found }];
    });
  }

  /** Where a key's value comes from. */
  originOf(property: Property): ConfigOrigin {
    return originOfLayer(property.layer, property.source?.line ?? property.line);
  }

  /** The keys below a key that hold a value, sorted; the empty key has all. */
  keysBelow(key: string): readonly string[] {
    if (key === '') return this.keys;
    const prefix = `${canonical(key)}.`;
    return [...this.byCanonical].flatMap(([name, property]) => (name.startsWith(prefix) ? property.key : [])).sort();
  }

  /** Keys whose value isn't the same in `other`, sorted. */
  differences(other: PropertyTree): readonly string[] {
    const keys: string[] = [];
    for (const [key, { value }] of this.properties) {
      const before = other.properties.get(key)?.value;
      if (value !== before && !isDeepStrictEqual(value, before)) keys.push(key);
    }
    for (const key of other.properties.keys()) if (!this.properties.has(key)) keys.push(key);
    return keys.sort();
  }

  private objectAt(key: string): ConfigData | undefined {
    this.objects ??= new PropertyObjects(this.properties.values());
    return this.objects.at(key);
  }
}

function isLayer(layer: ConfigEntries | ConfigLayer): layer is ConfigLayer {
  return 'kind' in layer;
}

/** From the layer that wins down: what a higher one has, or has something above or below of, a lower one doesn't give. */
function mergeLayers(layers: readonly ConfigLayer[]): Map<string, Property> {
  const merged = new Map<string, Property>();
  /** The keys of the layers above, each with its property, unless it has none: a null, or a value that is covered itself. */
  const taken = new Map<string, Property | undefined>();
  const branches = new Set<string>();
  for (const layer of layers.toReversed()) {
    const mine: (readonly [name: string, property: Property | undefined])[] = [];
    for (const [key, entry] of layer.entries) {
      const name = canonical(key);
      if (taken.has(name)) {
        adoptSpelling(merged, taken, name, key);
        continue;
      }
      if (parentsOf(name).some((parent) => taken.has(parent))) continue;
      const covered = entry.value === null || branches.has(name);
      const property = covered ? undefined : { ...entry, key, layer };
      if (property !== undefined) merged.set(key, property);
      mine.push([name, property]);
    }
    for (const [name, property] of mine) {
      taken.set(name, property);
      for (const parent of parentsOf(name)) branches.add(parent);
    }
  }
  return merged;
}

/** A variable of the environment can't say how a key is spelled: the document does that it stands above. */
function adoptSpelling(
  merged: Map<string, Property>,
  taken: Map<string, Property | undefined>,
  name: string,
  key: string,
): void {
  const property = taken.get(name);
  if (property === undefined || property.key === key || property.layer.kind !== 'environment') return;
  merged.delete(property.key);
  const respelled = { ...property, key };
  merged.set(key, respelled);
  taken.set(name, respelled);
}
