import { isDeepStrictEqual } from 'node:util';
import { Observable } from 'rxjs';
import { DiscoveryError, type ConfigDocument } from '../model/index.js';
import type { ConfigDriver, NamedDriver, WriteOptions } from '../backend/index.js';
import { coerce } from './coerce.js';
import type { ConfigStore } from './config-store.js';
import type { ConfigData } from './formats.js';

/** A value that changed; the shape of `@nestjs/config`'s event, with the keys below a prefix besides. */
export interface ConfigChange {
  /** The key or prefix that was asked for. */
  readonly path: string;
  readonly oldValue: ConfigData | undefined;
  readonly newValue: ConfigData | undefined;
  /** Every key at or below `path` whose value changed, sorted. */
  readonly keys: readonly string[];
}

/** Which backend a write goes to. */
export interface ConfigWriteOptions extends WriteOptions {
  /** Name of the backend. @default the first that can be written to */
  readonly backend?: string;
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
    const raw = this.store.current.get(key);
    return defaultValue === undefined ? raw : coerce(key, raw, { default: defaultValue });
  }

  /** Every change at or below a key, from now on; one event for each configuration that came into force. */
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
      const keys = tree
        .differences(previous)
        .filter((key) => key === path || path === '' || key.startsWith(`${path}.`));
      listener(Object.freeze({ path, oldValue, newValue, keys: Object.freeze(keys) }));
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
  read(
    id: string,
    options: { readonly backend?: string; readonly signal?: AbortSignal } = {},
  ): Promise<ConfigDocument | undefined> {
    return this.driver(options.backend, () => true).read(id, options.signal);
  }

  /**
   * Creates or replaces a document; resolves with its revision. The change comes into force as everybody else's does.
   * @throws DiscoveryError `CONFIG_CONFLICT` when `ifRevision` isn't the present one; `UNSUPPORTED`,
   * `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`, `INVALID_NAME`
   */
  async publish(id: string, content: string, options: ConfigWriteOptions = {}): Promise<string> {
    const { backend, ...write } = options;
    return this.writable(backend, write).publish(id, content, write);
  }

  /**
   * Removes a document; resolves with whether it was there.
   * @throws DiscoveryError as {@link publish}
   */
  async remove(id: string, options: ConfigWriteOptions = {}): Promise<boolean> {
    const { backend, ...write } = options;
    return this.writable(backend, write).remove(id, write);
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
