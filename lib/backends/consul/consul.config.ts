import { type ConfigDriver, type ConfigReport, type Watch, type WriteOptions } from '../../backend/index.js';
import {
  DiscoveryError,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
} from '../../model/index.js';
import { isConsulError } from './client/errors.js';
import type { KVEntry } from './client/kv-entry.js';
import type { ConsulMeta } from './client/meta.js';
import { AclDoubt } from './consul.acl-doubt.js';
import {
  assertKey,
  documentPart,
  encodeText,
  formatOf,
  indexOfRevision,
  partsOf,
  revisionOf,
} from './consul.config-layout.js';
import { ConfigWatch } from './consul.config-watch.js';
import type { ConsulParts } from './consul.shared.js';

/** The configuration side: keys of the key/value store. */
export class ConsulConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;
  private readonly doubt: AclDoubt;

  constructor(private readonly parts: ConsulParts) {
    this.doubt = new AclDoubt(parts);
  }

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    this.parts.assertOpen();
    const parts = partsOf(scope, this.parts.settings.config);
    let disown = (): void => {};
    const watch = new ConfigWatch(
      this.parts,
      parts,
      (key, meta) => this.assertCertain(key, meta),
      report,
      () => disown(),
    );
    disown = this.parts.adopt(() => watch.close());
    return watch;
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.parts.assertOpen();
    const part = documentPart(id, this.parts.settings.config);
    return this.attempt(`reading ${id}`, async () => {
      const options = signal === undefined ? {} : { signal };
      const { kv } = this.parts.client;
      const { kind, key } = part.read;
      const [found, meta] = kind === 'tree' ? await kv.getTree(key, options) : await kv.get(key, options);
      const entries: readonly KVEntry[] = Array.isArray(found) ? found : found === undefined ? [] : [found as KVEntry];
      if (entries.length === 0) await this.assertCertain(key, meta, signal);
      return part.documents(entries, () => {})[0];
    });
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.parts.assertOpen();
    assertKey(id, 'id');
    const format = formatOf(id, this.parts.settings.config);
    assertFormat(id, options.format, format);
    const value = encodeText(content, format);
    const { ifRevision } = options;
    return this.attempt(`writing ${id}`, async () => {
      const transaction = this.parts.client.prepare();
      if (ifRevision === undefined) transaction.set(id, value);
      else transaction.cas(id, value, { index: ifRevision === null ? 0 : this.indexOf(id, ifRevision) });
      const results = await this.execute(id, transaction, options, ifRevision !== undefined);
      const index = results[0]?.KV?.ModifyIndex;
      if (index === undefined) throw new DiscoveryError('BACKEND_UNAVAILABLE', `Consul told no index of ${id}`);
      return revisionOf(index, value);
    });
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.parts.assertOpen();
    assertKey(id, 'id');
    const { ifRevision } = options;
    return this.attempt(`removing ${id}`, async () => {
      const transaction = this.parts.client.prepare();
      if (ifRevision === null) {
        transaction.checkNotExists(id);
        await this.execute(id, transaction, options, true);
        return false;
      }
      // In a transaction, so that "it was there" and "it is gone" are said of one moment.
      if (ifRevision === undefined) transaction.get(id).delete(id);
      else transaction.checkIndex(id, { index: this.indexOf(id, ifRevision) }).delete(id);
      try {
        await this.execute(id, transaction, options, ifRevision !== undefined);
        return true;
      } catch (error) {
        const [failure] = isConsulError(error, 'transaction') ? error.errors : [];
        if (failure?.OpIndex === 0 && /doesn't exist/.test(failure.What)) return false;
        throw error;
      }
    });
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.parts.assertOpen();
    return this.attempt(`listing ${prefix}`, async () => {
      const [keys, meta] = await this.parts.client.kv.keys(prefix, signal === undefined ? {} : { signal });
      if (keys.length === 0) await this.assertCertain(prefix, meta, signal);
      return keys.filter((key) => !key.endsWith('/'));
    });
  }

  private async execute(
    id: string,
    transaction: ReturnType<ConsulParts['client']['prepare']>,
    { signal }: WriteOptions,
    conditional: boolean,
  ) {
    try {
      return (await transaction.execute(signal === undefined ? {} : { signal }))[0];
    } catch (error) {
      if (!conditional || !isConsulError(error, 'transaction')) throw error;
      throw this.conflict(id, error);
    }
  }

  private indexOf(id: string, revision: string): string {
    const index = indexOfRevision(revision);
    if (index === undefined || index === '0') throw this.conflict(id, undefined);
    return index;
  }

  private conflict(id: string, cause: unknown): DiscoveryError {
    return new DiscoveryError(
      'CONFIG_CONFLICT',
      `the document '${id}' isn't in the revision that was expected; read it again`,
      { backend: this.parts.settings.name, field: 'ifRevision', ...(cause === undefined ? {} : { cause }) },
    );
  }

  private assertCertain(key: string, meta: ConsulMeta, signal?: AbortSignal): Promise<void> {
    const rights = [{ Resource: 'key', Access: 'read' as const, Segment: key }];
    return this.doubt.assertCertain(meta, `the keys at '${key}'`, rights, signal);
  }

  private async attempt<T>(what: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} failed`, { backend: this.parts.settings.name });
    }
  }
}

/** A key's format is told by its name: a text that is stored under another would be read as something else. */
function assertFormat(id: string, format: ConfigFormat | undefined, actual: ConfigFormat): void {
  if (format === undefined || format === actual) return;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `the key ${id} is read as ${actual}, not as ${format}; give it the extension of its format (.yaml, .json, .properties)`,
    { field: 'format' },
  );
}
