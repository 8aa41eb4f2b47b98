import { isDeepStrictEqual } from 'node:util';
import { Observable } from 'rxjs';
import { DiscoveryError, type ConfigDocument } from '../model/index.js';
import {
  formatByExtension,
  type ConfigDriver,
  type ConfigRevision,
  type NamedDriver,
  type WriteOptions,
} from '../backend/index.js';
import { coerce } from './coerce.js';
import { explain, type ConfigExplanation } from './config-explanation.js';
import type { ConfigStore } from './config-store.js';
import { rawValue } from './config-values.js';
import { readDocument, type ConfigData } from './reading/index.js';
import { canonical } from './relaxed-names.js';

/** A value that changed; the shape of `@nestjs/config`'s event, with the keys below a prefix besides. */
export interface ConfigChange {
  /** The key or prefix that was asked for. */
  readonly path: string;
  readonly oldValue: ConfigData | undefined;
  readonly newValue: ConfigData | undefined;
  /** Every key at or below `path` whose value changed, sorted. */
  readonly keys: readonly string[];
  /** Each of them with its old and its new value. */
  readonly changes: readonly {
    readonly key: string;
    readonly oldValue: ConfigData | undefined;
    readonly newValue: ConfigData | undefined;
  }[];
}

/** Which backend is asked. */
export interface ConfigReadOptions {
  /** Name of the backend. @default the first that can be asked that */
  readonly backend?: string;
  readonly signal?: AbortSignal;
}

/** Which backend a write goes to. */
export interface ConfigWriteOptions extends WriteOptions {
  /** Name of the backend. @default the first that can be written to */
  readonly backend?: string;
  /** Write it even if it doesn't parse as its format. @default false */
  readonly force?: boolean;
}

/** The configuration: read, watched and written. Injectable. */
export class ConfigClient {
  /** @internal Made by the module. */
  constructor(
    private readonly store: ConfigStore,
    private readonly sources: readonly NamedDriver<ConfigDriver>[],
  ) {}

  /** Every key that has a value, sorted. */
  get keys(): readonly string[] {
    return this.store.current.keys;
  }

  /**
   * The newest value of a key, or the object of the keys below it. With a default, a configured text becomes the
   * default's type.
   * @throws DiscoveryError `CONFIG_VALUE_INVALID` when it can't
   */
  get(key: string): ConfigData | undefined;
  get<T>(key: string, defaultValue: T): T;
  get(key: string, defaultValue?: unknown): unknown {
    const { current } = this.store;
    if (defaultValue === undefined) return current.get(key);
    return coerce(key, rawValue(current, key), { default: defaultValue });
  }

  /**
   * Why a key has the value that it has: from which document, line, variable or argument it comes, and what that overrides.
   * Secrets are masked.
   */
  explain(key: string): ConfigExplanation {
    return explain(this.store.current, key);
  }

  /**
   * Every change at or below a key, from now on; one event for each configuration that came into force. A subscriber that throws
   * is RxJS's matter, which makes it an uncaught error of the process: {@link onChange} isolates.
   */
  changes(path: string): Observable<ConfigChange> {
    return new Observable((subscriber) => this.onChange(path, (change) => subscriber.next(change)));
  }

  /** The present value of a key or prefix (undefined when there is none), and each new one. */
  watch(key: string): Observable<ConfigData | undefined> {
    return new Observable((subscriber) => {
      subscriber.next(this.store.current.get(key));
      return this.onChange(key, (change) => subscriber.next(change.newValue));
    });
  }

  /** As {@link changes}, with a listener; a listener that throws is reported and hurts nobody. */
  onChange(path: string, listener: (change: ConfigChange) => void): () => void {
    let before = this.store.current;
    return this.store.subscribe((tree) => {
      const previous = before;
      before = tree;
      const oldValue = previous.get(path);
      const newValue = tree.get(path);
      if (oldValue === newValue || isDeepStrictEqual(oldValue, newValue)) return;
      const below = `${canonical(path)}.`;
      const keys = tree
        .differences(previous)
        .filter((key) => path === '' || key === path || `${canonical(key)}.`.startsWith(below));
      const changes = keys.map((key) => Object.freeze({ key, oldValue: previous.get(key), newValue: tree.get(key) }));
      listener(Object.freeze({ path, oldValue, newValue, keys: Object.freeze(keys), changes: Object.freeze(changes) }));
    });
  }

  /** Asks the backends anew; resolves when their answers are in force. */
  refresh(): Promise<void> {
    return this.store.refresh();
  }

  /**
   * One document as a backend stores it, or undefined.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`, `INVALID_NAME`
   */
  read(id: string, options: ConfigReadOptions = {}): Promise<ConfigDocument | undefined> {
    return this.driver(options.backend, () => true).read(id, options.signal);
  }

  /**
   * Creates or replaces a document; resolves with its revision. The change comes into force as everybody else's does. A text
   * that doesn't parse as its format, which would be rejected by everybody who reads it, is refused.
   * @throws DiscoveryError `CONFIG_DOCUMENT_INVALID` when it doesn't parse, unless `force` is set; `CONFIG_CONFLICT` when
   * `ifRevision` isn't the present one; `UNSUPPORTED`, `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`, `INVALID_NAME`
   */
  async publish(id: string, content: string, options: ConfigWriteOptions = {}): Promise<string> {
    const { backend, force = false, ...write } = options;
    const driver = this.writable(backend, write);
    const format = write.format ?? driver.formatOf?.(id) ?? formatByExtension(id);
    if (!force && format !== undefined) {
      await readDocument({ id, revision: '', content: { format, text: content } });
    }
    return driver.publish(id, content, write);
  }

  /**
   * Removes a document; resolves with whether it was there.
   * @throws DiscoveryError as {@link publish}
   */
  async remove(id: string, options: ConfigWriteOptions = {}): Promise<boolean> {
    const { backend, force: _, ...write } = options;
    return this.writable(backend, write).remove(id, write);
  }

  /**
   * The names of all documents below a prefix, sorted.
   * @throws DiscoveryError `UNSUPPORTED` where the product can't tell; `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`
   */
  async list(prefix = '', options: ConfigReadOptions = {}): Promise<readonly string[]> {
    const driver = this.driver(options.backend, ({ list }) => list !== undefined);
    return (await driver.list?.(prefix, options.signal)) ?? [];
  }

  /**
   * Past versions of a document, newest first.
   * @throws DiscoveryError `UNSUPPORTED` where the product keeps none; `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`,
   * `INVALID_NAME`
   */
  async history(id: string, options: ConfigReadOptions = {}): Promise<readonly ConfigRevision[]> {
    const driver = this.driver(options.backend, ({ history }) => history !== undefined);
    return (await driver.history?.(id, options.signal)) ?? [];
  }

  private writable(backend: string | undefined, write: WriteOptions): ConfigDriver {
    const driver = this.driver(backend, ({ capabilities }) => capabilities.publish);
    if (write.ifRevision !== undefined && !driver.capabilities.compareAndSet) {
      throw new DiscoveryError('UNSUPPORTED', 'this configuration backend has no compare-and-set', {
        field: 'ifRevision',
      });
    }
    return driver;
  }

  private driver(backend: string | undefined, fits: (driver: ConfigDriver) => boolean): ConfigDriver {
    const candidates = this.sources.filter((source) => backend === undefined || source.backend === backend);
    const found = candidates.find(({ driver }) => fits(driver));
    if (found !== undefined) return found.driver;
    throw new DiscoveryError(
      'UNSUPPORTED',
      backend === undefined || candidates.length > 0
        ? 'no configuration backend of this app can do that'
        : `this app has no configuration backend called '${backend}'`,
      { field: 'backend' },
    );
  }
}
