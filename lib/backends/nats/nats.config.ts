import {
  assertDocumentId,
  bytesDocument,
  CONFIG_EXTENSIONS,
  conflict,
  formatByExtension,
  layerNames,
  type ConfigDriver,
  type ConfigReport,
  type ConfigRevision,
  type PushSource,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import {
  defined,
  describe,
  DiscoveryError,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
} from '../../model/index.js';
import type { KeyValueEntry } from './jetstream/key-value.codec.js';
import { KeyValueWatch, readAll } from './jetstream/key-value-watch.js';
import { configKey, FORMAT_HEADER, formatOfEntry, idOfConfigKey, sequenceOf, toRevision } from './nats.codec.js';
import type { NatsShared } from './nats.shared.js';

type Documents = readonly ConfigDocument[];

const encoder = new TextEncoder();

/** Configuration in a key-value bucket: one key a document. */
export class NatsConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;

  constructor(private readonly shared: NatsShared) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    if (scope.kind === 'document') assertDocumentId(scope.id);
    return this.shared.host.documents(() => new ConfigEntries(this.shared, scope).source(), report);
  }

  formatOf(id: string): ConfigFormat {
    return formatByExtension(id) ?? 'yaml';
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.shared.host.assertOpen();
    assertDocumentId(id);
    const entry = await this.shared.config.get(configKey(id), signal);
    return entry === undefined ? undefined : toDocument(id, entry);
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.shared.host.assertOpen();
    assertDocumentId(id);
    const { config, session } = this.shared;
    const { ifRevision, format, signal } = options;
    await session.usable(signal);
    const key = configKey(id);
    const value = encoder.encode(content);
    const write = {
      ...(format === undefined ? {} : { headers: { [FORMAT_HEADER]: format } }),
      ...defined({ signal }),
    };
    if (ifRevision === null) return toRevision(await config.create(key, value, write), value);
    if (ifRevision !== undefined) {
      return toRevision(await config.update(key, value, sequenceOf(ifRevision), write), value);
    }
    return toRevision(await config.put(key, value, write), value);
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.shared.host.assertOpen();
    assertDocumentId(id);
    const { config, session } = this.shared;
    const { ifRevision, signal } = options;
    await session.usable(signal);
    const key = configKey(id);
    const present = await config.get(key, signal);
    const there = present !== undefined && present.operation === 'PUT';
    if (ifRevision !== undefined) {
      const revision = there ? toRevision(present.revision, present.value) : null;
      if (revision !== ifRevision) throw conflict(this.shared.host.name, id, ifRevision, revision);
    }
    if (!there) return false;
    await config.delete(key, {
      ...defined({ signal }),
      ...(ifRevision === undefined ? {} : { ifRevision: present.revision }),
    });
    return true;
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.shared.host.assertOpen();
    const entries = await readAll(this.shared.config, '>', 'last', {
      headersOnly: true,
      ...defined({ signal }),
    });
    return entries
      .filter((entry) => entry.operation === 'PUT')
      .map((entry) => idOfConfigKey(entry.key))
      .filter((id) => id !== undefined)
      .filter((id) => id.startsWith(prefix))
      .sort();
  }

  async history(id: string, signal?: AbortSignal): Promise<readonly ConfigRevision[]> {
    this.shared.host.assertOpen();
    assertDocumentId(id);
    const entries = await readAll(this.shared.config, configKey(id), 'all', defined({ signal }));
    return entries
      .map((entry) => ({
        revision: toRevision(entry.revision, entry.value),
        at: entry.at,
        ...(entry.operation === 'PUT' ? { content: new TextDecoder().decode(entry.value) } : {}),
      }))
      .reverse();
  }
}

/** The documents of one scope, as the bucket's watch tells of them. */
class ConfigEntries {
  private readonly keys: readonly string[] | undefined;
  private readonly prefix: string;
  private entries = new Map<string, KeyValueEntry>();
  private readonly built = new WeakMap<KeyValueEntry, ConfigDocument>();

  constructor(
    private readonly shared: NatsShared,
    scope: ConfigScope,
  ) {
    this.keys = keysOf(scope);
    this.prefix = scope.kind === 'prefix' ? scope.prefix : '';
  }

  source(): PushSource<Documents> {
    const { host, settings, config } = this.shared;
    let tell = (): void => {};
    return {
      what: 'the configuration',
      follow: ({ value, failed }) => {
        tell = () => value(this.documents());
        const watch = new KeyValueWatch(config, {
          filters: this.keys ?? ['>'],
          heartbeatMs: settings.heartbeatMs,
          random: () => host.context.random(),
          onInitial: (entries) => {
            this.replace(entries);
            tell();
          },
          onEntry: (entry) => {
            if (this.take(entry)) tell();
          },
          onError: failed,
        });
        return () => watch.close();
      },
      refresh: async (signal) => {
        this.replace(await this.read(signal));
        tell();
      },
    };
  }

  private async read(signal: AbortSignal): Promise<readonly KeyValueEntry[]> {
    const { config } = this.shared;
    const [only] = this.keys ?? [];
    if (this.keys?.length !== 1 || only === undefined) return readAll(config, '>', 'last', { signal });
    const entry = await config.get(only, signal);
    return entry === undefined ? [] : [entry];
  }

  private wants(entry: KeyValueEntry): boolean {
    if (this.keys !== undefined) return this.keys.includes(entry.key);
    return this.prefix === '' || (idOfConfigKey(entry.key)?.startsWith(this.prefix) ?? false);
  }

  private replace(entries: readonly KeyValueEntry[]): void {
    this.entries = new Map(entries.filter((entry) => this.wants(entry)).map((entry) => [entry.key, entry]));
  }

  /** Takes a change; false when it is none of ours, or a refresh has read it already. */
  private take(entry: KeyValueEntry): boolean {
    const before = this.entries.get(entry.key);
    if (!this.wants(entry) || (before !== undefined && before.revision >= entry.revision)) return false;
    this.entries.set(entry.key, entry);
    return true;
  }

  private documents(): Documents {
    // Layers in their order; other scopes by name.
    const keys = this.keys ?? [...this.entries.keys()].sort();
    return keys.map((key) => this.documentOf(key)).filter((document) => document !== undefined);
  }

  private documentOf(key: string): ConfigDocument | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.operation !== 'PUT') return undefined;
    const known = this.built.get(entry);
    if (known !== undefined) return known;
    try {
      const id = idOfConfigKey(key);
      if (id === undefined) throw new DiscoveryError('INVALID_NAME', `the key ${describe(key)} is no document's`);
      const document = toDocument(id, entry);
      if (document !== undefined) this.built.set(entry, document);
      return document;
    } catch (error) {
      const record = `${entry.bucket}: ${key}`;
      this.shared.host.skip(record, error, String(entry.revision), 'CONFIG_DOCUMENT_INVALID');
      return undefined;
    }
  }
}

/** The keys of a scope, those that win last; undefined for a prefix. */
function keysOf(scope: ConfigScope): readonly string[] | undefined {
  switch (scope.kind) {
    case 'document':
      return [configKey(scope.id)];
    case 'prefix':
      return undefined;
    case 'application':
      return layerNames(scope.application, scope.profiles).flatMap((base) =>
        ['', ...CONFIG_EXTENSIONS].map((extension) => configKey(`${base}${extension}`)),
      );
  }
}

function toDocument(id: string, entry: KeyValueEntry): ConfigDocument | undefined {
  if (entry.operation !== 'PUT') return undefined;
  return bytesDocument(id, toRevision(entry.revision, entry.value), formatOfEntry(id, entry), entry.value);
}
