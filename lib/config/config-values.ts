import { isDeepStrictEqual } from 'node:util';
import { Observable } from 'rxjs';
import { coerce, type ConfigExpectation, type RawValue } from './coerce.js';
import type { ConfigStore } from './config-store.js';
import type { PropertyTree } from './property-tree.js';

/** What a tree has at a key: its value, or the object of the keys below it. */
export function rawValue(tree: PropertyTree, key: string): RawValue | undefined {
  const property = tree.property(key);
  if (property !== undefined) return property;
  const value = tree.get(key);
  return value === undefined ? undefined : { value };
}

/** Reads one key as one type, from whichever tree is in force. */
export class ConfigReader<T> {
  private tree: PropertyTree | undefined;
  private value: T | undefined;

  constructor(
    readonly key: string,
    private readonly store: ConfigStore,
    private readonly expected: ConfigExpectation<T>,
  ) {}

  /** The newest value; worked out once per tree. */
  read(): T {
    const tree = this.store.current;
    if (tree !== this.tree) {
      this.value = this.valueIn(tree);
      this.tree = tree;
    }
    return this.value as T;
  }

  /** The value in a given tree. */
  valueIn(tree: PropertyTree): T {
    return coerce(this.key, rawValue(tree, this.key), this.expected);
  }

  /** The present value, and each one that differs from the one before. */
  get changes(): Observable<T> {
    return new Observable((subscriber) => {
      let last = this.read();
      subscriber.next(last);
      return this.store.subscribe(() => {
        const next = this.read();
        if (next === last || isDeepStrictEqual(next, last)) return;
        last = next;
        subscriber.next(next);
      });
    });
  }
}

/**
 * A live configuration value as an object of its own, for constructor parameters: `@ConfigValue('checkout.limit', 100)
 * limit: ConfigRef<number>`.
 */
export class ConfigRef<T> {
  /** @internal Made by the module. */
  constructor(private readonly reader: ConfigReader<T>) {}

  /** The key that it reads. */
  get key(): string {
    return this.reader.key;
  }

  /**
   * The newest value.
   * @throws DiscoveryError `CONFIG_VALUE_MISSING` when it isn't configured and has no default
   */
  get value(): T {
    return this.reader.read();
  }

  /** The present value, and each new one. */
  get changes(): Observable<T> {
    return this.reader.changes;
  }
}

/** The values that an app has declared, one reader for each declaration; no tree comes into force that one can't read. */
export class ConfigValues {
  private readonly readers = new WeakMap<ConfigExpectation, ConfigReader<unknown>>();

  constructor(private readonly store: ConfigStore) {}

  /**
   * The reader of a declaration; the same object for the same `expected`.
   * @throws DiscoveryError `CONFIG_VALUE_MISSING` or `CONFIG_VALUE_INVALID` when the present tree can't give the value
   */
  declare<T>(key: string, expected: ConfigExpectation<T>): ConfigReader<T> {
    const known = this.readers.get(expected);
    if (known !== undefined) return known as ConfigReader<T>;
    const reader = this.reader(key, expected);
    this.store.addValidator((tree) => reader.valueIn(tree));
    this.readers.set(expected, reader);
    return reader;
  }

  /** A reader that isn't declared: it complains when it is read, and rejects no tree. */
  reader<T>(key: string, expected: ConfigExpectation<T>): ConfigReader<T> {
    return new ConfigReader(key, this.store, expected);
  }
}
