import type { Type } from '@nestjs/common';
import { isDeepStrictEqual } from 'node:util';
import type { ConfigStore, PropertyTree } from '../../config/index.js';
import { DiscoveryError } from '../../model/index.js';
import { bindConfig } from './config-binding.js';
import { configClassOf } from './config-class.js';

/** The object of a class that changed. */
export interface ConfigObjectChange<T extends object> {
  /** The prefix of the class. */
  readonly path: string;
  readonly oldValue: T;
  readonly newValue: T;
}

/** One class's object: what it is now, bound anew for each configuration. */
class LiveObject {
  private tree: PropertyTree | undefined;
  private bound: object = {};
  private demanded = false;
  /** What was bound last, perhaps for a tree that is still looked at. */
  private last: { readonly tree: PropertyTree; readonly value: object } | undefined;

  constructor(
    private readonly type: Type,
    private readonly store: ConfigStore,
  ) {}

  demand(): void {
    if (this.demanded) return;
    this.store.addValidator((tree) => void this.bind(tree));
    this.demanded = true;
  }

  /** The object of the configuration in force; the same one as long as nothing below its prefix changes. */
  get current(): object {
    this.demand();
    const tree = this.store.current;
    if (tree !== this.tree) {
      const next = this.bind(tree);
      if (!isDeepStrictEqual(next, this.bound)) this.bound = next;
      this.tree = tree;
    }
    return this.bound;
  }

  private bind(tree: PropertyTree): object {
    if (this.last?.tree !== tree) this.last = { tree, value: bindConfig(this.type, tree) };
    return this.last.value;
  }
}

/** The objects that `@ConfigProperties` classes stand for in one app. */
export class ConfigObjects {
  private readonly objects = new Map<Type, { readonly live: LiveObject; readonly facade: object }>();

  constructor(private readonly store: ConfigStore) {}

  /**
   * What injecting the class gives: an object that reads the newest values, and can't be written to. Every app of the process gets
   * one, so it begins with its first use.
   */
  facade(type: Type): object {
    return this.objectOf(type).facade;
  }

  /**
   * The app uses the class: from now on no configuration comes into force that it can't be filled from.
   * @throws DiscoveryError `CONFIG_VALUE_MISSING` or `CONFIG_VALUE_INVALID` when the present one is such
   */
  demand(type: Type): void {
    this.objectOf(type).live.demand();
  }

  /** Tells of each change of a class's object, with the old and the new one. */
  onChange(type: Type, listener: (change: ConfigObjectChange<object>) => void): () => void {
    const { live } = this.objectOf(type);
    const path = configClassOf(type)?.prefix ?? '';
    let before = live.current;
    return this.store.subscribe(() => {
      const oldValue = before;
      const newValue = live.current;
      before = newValue;
      if (newValue !== oldValue) listener(Object.freeze({ path, oldValue, newValue }));
    });
  }

  private objectOf(type: Type): { readonly live: LiveObject; readonly facade: object } {
    let object = this.objects.get(type);
    if (object === undefined) {
      const live = new LiveObject(type, this.store);
      object = { live, facade: facadeOf(type, live) };
      this.objects.set(type, object);
    }
    return object;
  }
}

/**
 * What the class has itself, and what Nest asks every provider for: looking at a provider must not bind one that the app doesn't
 * use.
 */
function isOfClass(target: object, property: string | symbol): boolean {
  return typeof property === 'symbol' || property in target || /^(?:then$|on[A-Z]|before[A-Z])/.test(property);
}

function facadeOf(type: Type, live: LiveObject): object {
  const refuse = (_: object, property: string | symbol): never => {
    throw new DiscoveryError('UNSUPPORTED', `${type.name}.${String(property)} is configuration and can't be set`, {
      field: String(property),
    });
  };
  return new Proxy(Object.create(type.prototype as object) as object, {
    // Methods and getters see the facade as `this`, and through it the newest values.
    get: (target, property, facade) =>
      isOfClass(target, property)
        ? Reflect.get(target, property, facade)
        : (Reflect.get(live.current, property) as unknown),
    has: (target, property) =>
      isOfClass(target, property) ? Reflect.has(target, property) : Reflect.has(live.current, property),
    ownKeys: () => Reflect.ownKeys(live.current),
    getOwnPropertyDescriptor: (_, property) => {
      const descriptor = Reflect.getOwnPropertyDescriptor(live.current, property);
      // The facade isn't what is frozen: what it shows may be gone a moment later.
      return descriptor === undefined ? undefined : { ...descriptor, configurable: true, writable: false };
    },
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
  });
}
