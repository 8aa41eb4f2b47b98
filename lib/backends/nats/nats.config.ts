import {
  Reporter,
  type ConfigDriver,
  type ConfigReport,
  type ConfigRevision,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import {
  describe,
  DiscoveryError,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigScope,
} from '../../model/index.js';
import type { KeyValueEntry } from './jetstream/key-value.codec.js';
import { KeyValueWatch, readAll } from './jetstream/key-value-watch.js';
import {
  assertDocumentId,
  CONFIG_EXTENSIONS,
  configKey,
  FORMAT_HEADER,
  formatOfEntry,
  idOfConfigKey,
  sequenceOf,
  toRevision,
} from './nats.codec.js';
import type { NatsShared } from './nats.shared.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Configuration in a key-value bucket: one key a document. */
export class NatsConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;

  constructor(private readonly shared: NatsShared) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    this.shared.assertOpen();
    if (scope.kind === 'document') assertDocumentId(scope.id);
    let disown = (): void => {};
    const watch = new ConfigWatch(this.shared, scope, report, () => disown());
    disown = this.shared.adopt(() => watch.close());
    return watch;
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.shared.assertOpen();
    assertDocumentId(id);
    const entry = await this.shared.config.get(configKey(id), signal);
    return entry === undefined ? undefined : toDocument(id, entry);
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.shared.assertOpen();
    assertDocumentId(id);
    const { config, session } = this.shared;
    const { ifRevision, format, signal } = options;
    await session.usable(signal);
    const key = configKey(id);
    const value = encoder.encode(content);
    const write = {
      ...(format === undefined ? {} : { headers: { [FORMAT_HEADER]: format } }),
      ...(signal === undefined ? {} : { signal }),
    };
    if (ifRevision === null) return toRevision(await config.create(key, value, write), value);
    if (ifRevision !== undefined) {
      return toRevision(await config.update(key, value, sequenceOf(ifRevision), write), value);
    }
    return toRevision(await config.put(key, value, write), value);
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.shared.assertOpen();
    assertDocumentId(id);
    const { config, session } = this.shared;
    const { ifRevision, signal } = options;
    await session.usable(signal);
    const key = configKey(id);
    const withSignal = signal === undefined ? {} : { signal };
    const present = await config.get(key, signal);
    const there = present !== undefined && present.operation === 'PUT';
    if (ifRevision !== undefined) {
      const revision = there ? toRevision(present.revision, present.value) : null;
      if (revision !== ifRevision) throw conflict(this.shared.settings.name, id, revision, ifRevision);
    }
    if (!there) return false;
    await config.delete(key, { ...withSignal, ...(ifRevision === undefined ? {} : { ifRevision: present.revision }) });
    return true;
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.shared.assertOpen();
    const entries = await readAll(this.shared.config, '>', 'last', {
      headersOnly: true,
      ...(signal === undefined ? {} : { signal }),
    });
    return entries
      .filter((entry) => entry.operation === 'PUT')
      .map((entry) => idOfConfigKey(entry.key))
      .filter((id) => id !== undefined)
      .filter((id) => id.startsWith(prefix))
      .sort();
  }

  async history(id: string, signal?: AbortSignal): Promise<readonly ConfigRevision[]> {
    this.shared.assertOpen();
    assertDocumentId(id);
    const entries = await readAll(this.shared.config, configKey(id), 'all', signal === undefined ? {} : { signal });
    return entries
      .map((entry) => ({
        revision: toRevision(entry.revision, entry.value),
        at: entry.at,
        ...(entry.operation === 'PUT' ? { content: new TextDecoder().decode(entry.value) } : {}),
      }))
      .reverse();
  }
}

function conflict(backend: string, id: string, present: string | null, expected: string | null): DiscoveryError {
  const there = present === null ? "doesn't exist" : `has revision ${present}`;
  const wanted = expected === null ? "shouldn't exist" : `should have revision ${expected}`;
  return new DiscoveryError('CONFIG_CONFLICT', `the document ${describe(id)} ${there} and ${wanted}; read it again`, {
    backend,
    field: 'ifRevision',
  });
}

/** Reports the documents of one scope after every change. */
class ConfigWatch implements Watch {
  private readonly reporter: Reporter<ConfigReport>;
  private readonly watch: KeyValueWatch;
  private readonly keys: readonly string[] | undefined;
  private readonly prefix: string;
  private entries = new Map<string, KeyValueEntry>();
  private readonly documents = new WeakMap<KeyValueEntry, ConfigDocument>();
  private last: string | undefined;
  private lastError: DiscoveryError | undefined;
  private known = false;
  private closing: Promise<void> | undefined;
  private readonly complaints = new Set<string>();

  constructor(
    private readonly shared: NatsShared,
    scope: ConfigScope,
    report: (report: ConfigReport) => void,
    private readonly onClosed: () => void,
  ) {
    const { context, settings, config } = shared;
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `configuration watch on ${settings.name}`, error }),
    );
    this.keys = keysOf(scope);
    this.prefix = scope.kind === 'prefix' ? scope.prefix : '';
    this.watch = new KeyValueWatch(config, {
      filters: this.keys ?? ['>'],
      heartbeatMs: settings.heartbeatMs,
      random: () => context.random(),
      onInitial: (entries) => this.replace(entries),
      onEntry: (entry) => {
        if (this.wants(entry)) this.take(entry);
      },
      onError: (error) => this.failed(error),
    });
  }

  async refresh(): Promise<void> {
    if (this.closing !== undefined) throw this.closedError();
    const { config } = this.shared;
    try {
      const entries =
        this.keys?.length === 1 && this.keys[0] !== undefined
          ? await config.get(this.keys[0]).then((entry) => (entry === undefined ? [] : [entry]))
          : await readAll(config, '>', 'last');
      if (this.closing !== undefined) throw this.closedError();
      this.fill(entries);
      await this.send();
    } catch (error) {
      if (this.closing !== undefined) throw this.closedError();
      const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', 'the configuration could not be read');
      this.lastError = failure;
      await this.reporter.send({ error: failure });
      throw failure;
    }
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    this.reporter.close();
    await this.watch.close();
    this.shared.onHealth(this, undefined);
    this.onClosed();
  }

  private wants(entry: KeyValueEntry): boolean {
    if (this.keys !== undefined) return this.keys.includes(entry.key);
    return this.prefix === '' || (idOfConfigKey(entry.key)?.startsWith(this.prefix) ?? false);
  }

  private replace(entries: readonly KeyValueEntry[]): void {
    this.fill(entries);
    this.shared.onHealth(this, undefined);
    // After an error also when nothing has changed.
    if (this.lastError !== undefined || this.fingerprint() !== this.last) void this.send();
  }

  private fill(entries: readonly KeyValueEntry[]): void {
    const next = new Map<string, KeyValueEntry>();
    for (const entry of entries) if (this.wants(entry)) next.set(entry.key, entry);
    this.entries = next;
    this.known = true;
  }

  private take(entry: KeyValueEntry): void {
    const before = this.entries.get(entry.key);
    // A refresh may have read it already.
    if (before !== undefined && before.revision >= entry.revision) return;
    this.entries.set(entry.key, entry);
    if (this.known && this.fingerprint() !== this.last) void this.send();
  }

  private failed(error: DiscoveryError): void {
    this.shared.onHealth(this, error);
    if (this.lastError?.message === error.message) return;
    this.lastError = error;
    void this.reporter.send({ error });
  }

  private send(): Promise<void> {
    this.last = this.fingerprint();
    this.lastError = undefined;
    return this.reporter.send({ documents: this.list() });
  }

  private list(): readonly ConfigDocument[] {
    // Layers in their order; other scopes by name.
    const keys = this.keys ?? [...this.entries.keys()].sort();
    return keys.map((key) => this.documentOf(key)).filter((document) => document !== undefined);
  }

  private documentOf(key: string): ConfigDocument | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.operation !== 'PUT') return undefined;
    const known = this.documents.get(entry);
    if (known !== undefined) return known;
    const { context, settings } = this.shared;
    try {
      const id = idOfConfigKey(key);
      if (id === undefined) throw new DiscoveryError('INVALID_NAME', `the key ${describe(key)} is no document's`);
      const document = toDocument(id, entry);
      if (document !== undefined) this.documents.set(entry, document);
      return document;
    } catch (error) {
      const complaint = `${entry.key} ${entry.revision}`;
      if (!this.complaints.has(complaint) && this.complaints.size < 1000) {
        this.complaints.add(complaint);
        const reason = toDiscoveryError(error, 'CONFIG_DOCUMENT_INVALID', `${key} is no document`);
        context.report({
          type: 'record.skipped',
          backend: settings.name,
          record: `${entry.bucket}: ${key}`,
          error: reason,
        });
      }
      return undefined;
    }
  }

  /** Ids and revisions of what would be reported. */
  private fingerprint(): string {
    return JSON.stringify(this.list().map(({ id, revision }) => [id, revision]));
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', 'the configuration watch was closed', {
      backend: this.shared.settings.name,
    });
  }
}

/** The keys of a scope, those that win last; undefined for a prefix. */
function keysOf(scope: ConfigScope): readonly string[] | undefined {
  switch (scope.kind) {
    case 'document':
      return [configKey(scope.id)];
    case 'prefix':
      return undefined;
    case 'application': {
      const profiles = [...new Set(scope.profiles)];
      const named = (base: string): readonly string[] => [base, ...profiles.map((profile) => `${base}-${profile}`)];
      const bases = new Set([...named('application'), ...named(scope.application)]);
      return [...bases].flatMap((base) =>
        ['', ...CONFIG_EXTENSIONS.map(([extension]) => extension)].map((end) => configKey(`${base}${end}`)),
      );
    }
  }
}

/** @throws DiscoveryError `CONFIG_DOCUMENT_INVALID` for what is no UTF-8 text */
function toDocument(id: string, entry: KeyValueEntry): ConfigDocument | undefined {
  if (entry.operation !== 'PUT') return undefined;
  let text: string;
  try {
    text = decoder.decode(entry.value);
  } catch (cause) {
    throw new DiscoveryError('CONFIG_DOCUMENT_INVALID', `the document ${describe(id)} is no UTF-8 text`, { cause });
  }
  return Object.freeze({
    id,
    revision: toRevision(entry.revision, entry.value),
    content: Object.freeze({ format: formatOfEntry(id, entry), text }),
  });
}
