import { isDeepStrictEqual } from 'node:util';
import { originOfLayer, type ConfigLayer, type ConfigOrigin, type Property } from './config-layer.js';
import { PropertyObjects } from './property-objects.js';
import type { ConfigData, ConfigEntries, ConfigEntry } from './reading/index.js';
import { atOnce } from './turns.js';
import { canonical, isCanonical, parentsOf } from './relaxed-names.js';

/** Gives values for keys that no document has; environment variables. */
export type KeyFallback = (key: string) => Property | undefined;

/** How many keys are looked at in one step. */
const KEYS_A_STEP = 256;

const nothing: KeyFallback = () => undefined;

/** The values of a tree, by their keys as they are written, and by what spellings of a key have in common. */
interface Merged {
  readonly properties: Map<string, Property>;
  /** Undefined for a key that is taken away, or lies below or above of what a higher layer has. */
  readonly byCanonical: Map<string, Property | undefined>;
}

/**
 * All layers merged, as one immutable value. Keys are dotted paths, and found in whatever usual spelling they are asked for. A
 * key that holds no value itself, but is the beginning of others, gives them as an object.
 */
export class PropertyTree {
  /** The tree without any key. */
  static readonly empty = new PropertyTree([], { properties: new Map(), byCanonical: new Map() }, nothing);

  private objects: PropertyObjects | undefined;

  private constructor(
    /** Those that win last. */
    readonly layers: readonly ConfigLayer[],
    private readonly merged: Merged,
    private readonly fallback: KeyFallback,
  ) {}

  /**
   * Merges layers; a later one wins. A value replaces what lower layers had at or below its key, lists are replaced as a
   * whole, and null takes a key away.
   */
  static merge(layers: readonly (ConfigEntries | ConfigLayer)[], fallback: KeyFallback = nothing): PropertyTree {
    return atOnce(PropertyTree.merging(layers, fallback));
  }

  /** As {@link PropertyTree.merge}, in steps. */
  static *merging(
    layers: readonly (ConfigEntries | ConfigLayer)[],
    fallback: KeyFallback = nothing,
  ): Generator<void, PropertyTree> {
    const named = layers.map((layer) => (isLayer(layer) ? layer : { kind: 'document' as const, entries: layer }));
    return new PropertyTree(named, yield* mergeLayers(named, fallback), fallback);
  }

  /** The same tree with other values for some keys. */
  with(changed: ReadonlyMap<string, Property>): PropertyTree {
    if (changed.size === 0) return this;
    const properties = new Map(this.merged.properties);
    const byCanonical = new Map(this.merged.byCanonical);
    for (const [key, property] of changed) {
      properties.set(key, property);
      byCanonical.set(canonical(key), property);
    }
    return new PropertyTree(this.layers, { properties, byCanonical }, this.fallback);
  }

  /** Every key that holds a value, sorted. */
  get keys(): readonly string[] {
    return [...this.merged.properties.keys()].sort();
  }

  /** Every key's value, in no order. */
  get all(): Iterable<Property> {
    return this.merged.properties.values();
  }

  /** The value at a key, the object of the keys below it, or undefined. */
  get(key: string): ConfigData | undefined {
    return this.property(key)?.value ?? this.objectAt(key);
  }

  /** The value at a key with where it comes from; undefined when it has none of its own. */
  property(key: string): Property | undefined {
    return this.merged.properties.get(key) ?? this.merged.byCanonical.get(canonical(key)) ?? this.fallback(key);
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
    return [...this.merged.byCanonical]
      .flatMap(([name, property]) => (name.startsWith(prefix) ? (property?.key ?? []) : []))
      .sort();
  }

  /** Keys whose value isn't the same in `other`, sorted. */
  differences(other: PropertyTree): readonly string[] {
    const keys: string[] = [];
    for (const [key, { value }] of this.merged.properties) {
      const before = other.merged.properties.get(key)?.value;
      if (value !== before && !isDeepStrictEqual(value, before)) keys.push(key);
    }
    for (const key of other.merged.properties.keys()) if (!this.merged.properties.has(key)) keys.push(key);
    return keys.sort();
  }

  private objectAt(key: string): ConfigData | undefined {
    this.objects ??= new PropertyObjects(this.merged.properties.values());
    return this.objects.at(key);
  }
}

function isLayer(layer: ConfigEntries | ConfigLayer): layer is ConfigLayer {
  return 'kind' in layer;
}

/** From the layer that wins down: what a higher one has, or has something above or below of, a lower one doesn't give. */
function* mergeLayers(layers: readonly ConfigLayer[], fallback: KeyFallback): Generator<void, Merged> {
  const properties = new Map<string, Property>();
  const taken: Merged['byCanonical'] = new Map();
  const branches = new Set<string>();
  let looked = 0;
  for (const layer of layers.toReversed()) {
    const mine: (readonly [name: string, property: Property | undefined])[] = [];
    const parents = new Parents(taken);
    for (const [key, entry] of layer.entries) {
      if (++looked % KEYS_A_STEP === 0) yield;
      const parent = parents.of(key);
      const name = parent.nameOf(key);
      if (taken.has(name)) {
        adoptSpelling(properties, taken, name, key);
        continue;
      }
      if (parent.isTaken) continue;
      const isCovered = entry.value === null || branches.has(name);
      const { value, text, line } = entry;
      const property: Property | undefined = isCovered ? undefined : { key, value, text, line, layer };
      if (property !== undefined) properties.set(key, property);
      mine.push([name, property]);
    }
    for (const [name, property] of mine) {
      if (++looked % KEYS_A_STEP === 0) yield;
      taken.set(name, property);
    }
    for (const name of parents.names) branches.add(name);
  }
  for (const [key, { layer }] of properties) {
    if (++looked % KEYS_A_STEP === 0) yield;
    const variable = layer.kind === 'document' ? fallback(key) : undefined;
    if (variable === undefined) continue;
    properties.set(key, variable);
    taken.set(canonical(key), variable);
  }
  return { properties, byCanonical: taken };
}

/** What is the same for all keys right below one. */
interface Parent {
  /** A higher layer has a value above. */
  readonly isTaken: boolean;
  /** A key's name without regard to its spelling. */
  nameOf(key: string): string;
}

/** The keys above the keys of one layer: each is looked at once, not for each key below it. */
class Parents {
  private readonly known = new Map<string, Parent>();
  /** Their names, and those of the keys above them. */
  readonly names = new Set<string>();

  constructor(private readonly taken: ReadonlyMap<string, unknown>) {}

  of(key: string): Parent {
    const dot = key.lastIndexOf('.');
    const path = dot === -1 ? '' : key.slice(0, dot);
    let parent = this.known.get(path);
    if (parent === undefined) this.known.set(path, (parent = this.parentAt(path, dot)));
    return parent;
  }

  private parentAt(path: string, dot: number): Parent {
    if (dot === -1) return { isTaken: false, nameOf: canonical };
    const name = canonical(path);
    const above = [...parentsOf(name), name];
    for (const one of above) this.names.add(one);
    return {
      isTaken: above.some((one) => this.taken.has(one)),
      nameOf: (key) => (isCanonical(key) ? key : `${name}.${canonical(key.slice(dot + 1))}`),
    };
  }
}

/** A variable of the environment can't say how a key is spelled: the document does that it stands above. */
function adoptSpelling(
  properties: Map<string, Property>,
  taken: Merged['byCanonical'],
  name: string,
  key: string,
): void {
  const property = taken.get(name);
  if (property === undefined || property.key === key || property.layer.kind !== 'environment') return;
  properties.delete(property.key);
  const respelled = { ...property, key };
  properties.set(key, respelled);
  taken.set(name, respelled);
}
