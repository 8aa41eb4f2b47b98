import {
  allOf,
  assertDocumentId,
  assertFormat,
  conflict,
  keepDocuments,
  type ConfigDriver,
  type ConfigReport,
  type DriverHost,
  type Gathering,
  type PullSource,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import {
  DiscoveryError,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
} from '../../model/index.js';
import type { ConsulClient } from './client/consul-client.js';
import { isConsulError } from './client/errors.js';
import type { KVEntry } from './client/kv-entry.js';
import type { ConsulMeta } from './client/meta.js';
import { AclDoubt, mayHideAll } from './consul.acl-doubt.js';
import {
  documentPart,
  encodeText,
  formatOf,
  indexOfRevision,
  inMergeOrder,
  partsOf,
  revisionOf,
  type ConfigPart,
} from './consul.config-layout.js';
import type { ConsulSettings } from './consul.options.js';

type Documents = readonly ConfigDocument[];

/** The configuration side: keys of the key/value store. */
export class ConsulConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;
  private readonly doubt: AclDoubt;

  constructor(
    private readonly host: DriverHost,
    private readonly client: ConsulClient,
    private readonly settings: ConsulSettings,
  ) {
    this.doubt = new AclDoubt(host, client);
  }

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    const layout = partsOf(scope, this.settings.config);
    const gathering: Gathering<Documents, Documents> = {
      what: 'the configuration',
      sources: layout.map((part) => this.sourceOf(part)),
      combine: (parts) => {
        const documents = allOf(parts);
        return documents === undefined ? undefined : Object.freeze(inMergeOrder(layout, documents));
      },
    };
    return this.host.documents(() => gathering, report);
  }

  formatOf(id: string): ConfigFormat {
    return formatOf(id, this.settings.config);
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.host.assertOpen();
    const part = documentPart(id, this.settings.config);
    return this.attempt(`reading ${id}`, async () => {
      const options = signal === undefined ? {} : { signal };
      const { kv } = this.client;
      const { kind, key } = part.read;
      const [found, meta] = kind === 'tree' ? await kv.getTree(key, options) : await kv.get(key, options);
      const entries: readonly KVEntry[] = Array.isArray(found) ? found : found === undefined ? [] : [found as KVEntry];
      if (entries.length === 0) await this.assertCertain(key, meta, signal);
      return part.documents(entries, () => {})[0];
    });
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.host.assertOpen();
    assertDocumentId(id);
    const format = formatOf(id, this.settings.config);
    assertFormat(`the key ${id}`, options.format, format);
    const value = encodeText(content, format);
    const { ifRevision } = options;
    return this.attempt(`writing ${id}`, async () => {
      const transaction = this.client.prepare();
      if (ifRevision === undefined) transaction.set(id, value);
      else transaction.cas(id, value, { index: ifRevision === null ? 0 : this.indexOf(id, ifRevision) });
      const results = await this.execute(id, transaction, options);
      const index = results[0]?.KV?.ModifyIndex;
      if (index === undefined) throw new DiscoveryError('BACKEND_UNAVAILABLE', `Consul told no index of ${id}`);
      return revisionOf(index, value);
    });
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.host.assertOpen();
    assertDocumentId(id);
    const { ifRevision } = options;
    return this.attempt(`removing ${id}`, async () => {
      const transaction = this.client.prepare();
      if (ifRevision === null) {
        transaction.checkNotExists(id);
        await this.execute(id, transaction, options);
        return false;
      }
      // In a transaction, so that "it was there" and "it is gone" are said of one moment.
      if (ifRevision === undefined) transaction.get(id).delete(id);
      else transaction.checkIndex(id, { index: this.indexOf(id, ifRevision) }).delete(id);
      try {
        await this.execute(id, transaction, options);
        return true;
      } catch (error) {
        const [failure] = isConsulError(error, 'transaction') ? error.errors : [];
        if (failure?.OpIndex === 0 && /doesn't exist/.test(failure.What)) return false;
        throw error;
      }
    });
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    return this.attempt(`listing ${prefix}`, async () => {
      const [keys, meta] = await this.client.kv.keys(prefix, signal === undefined ? {} : { signal });
      if (keys.length === 0) await this.assertCertain(prefix, meta, signal);
      return keys.filter((key) => !key.endsWith('/'));
    });
  }

  private async execute(
    id: string,
    transaction: ReturnType<ConsulClient['prepare']>,
    { signal, ifRevision }: WriteOptions,
  ) {
    try {
      return (await transaction.execute(signal === undefined ? {} : { signal }))[0];
    } catch (error) {
      if (ifRevision === undefined || !isConsulError(error, 'transaction')) throw error;
      throw conflict(this.host.name, id, ifRevision, undefined, error);
    }
  }

  private indexOf(id: string, revision: string): string {
    const index = indexOfRevision(revision);
    if (index === undefined || index === '0') throw conflict(this.host.name, id, revision);
    return index;
  }

  /** The documents of one key or of one tree of keys. */
  private sourceOf(part: ConfigPart): PullSource<Documents> {
    const { client } = this;
    const { kind, key } = part.read;
    return {
      keep: keepDocuments,
      ...client.blocking<readonly KVEntry[], Documents>({
        what: `the configuration at ${key}`,
        settings: this.settings.watch,
        ask: async (options) => {
          if (kind === 'tree') return client.kv.getTree(key, options);
          const [entry, meta] = await client.kv.get(key, options);
          return [entry === undefined ? [] : [entry], meta];
        },
        suspect: (entries, meta) => mayHideAll(entries, meta, client.hasToken),
        decode: async (entries, meta) => {
          if (entries.length === 0) await this.assertCertain(key, meta);
          return part.documents(entries, (record, problem) =>
            this.host.skip(record, problem, undefined, 'CONFIG_DOCUMENT_INVALID'),
          );
        },
      }),
    };
  }

  private assertCertain(key: string, meta: ConsulMeta, signal?: AbortSignal): Promise<void> {
    const rights = [{ Resource: 'key', Access: 'read' as const, Segment: key }];
    return this.doubt.assertCertain(meta, `the keys at '${key}'`, rights, signal);
  }

  private async attempt<T>(what: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} failed`, { backend: this.host.name });
    }
  }
}
