import { layersOf, type ConfigFile } from '../backends/local/local.layers.js';
import {
  assertDocumentId,
  conflict,
  formatByExtension,
  textDocument,
  type ConfigDriver,
  type ConfigReport,
  type DriverHost,
  type Watch,
  type WriteOptions,
} from '../backend/index.js';
import type { ConfigDocument, ConfigFormat, ConfigScope } from '../model/index.js';
import type { InMemoryServer, StoredDocument } from './in-memory-server.js';
import { watched } from './in-memory-source.js';

/** The configuration side of an in-memory backend. */
export class InMemoryConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;

  constructor(
    private readonly server: InMemoryServer,
    private readonly host: DriverHost,
  ) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    if (scope.kind === 'document') assertDocumentId(scope.id);
    const source = watched(this.server, 'ConfigWatches', {
      what: 'the configuration',
      value: () => this.documents(scope),
      changes: (look) => ({ documents: look }),
    });
    return this.host.documents(() => source, report);
  }

  formatOf(id: string): ConfigFormat {
    return this.server.document(id)?.format ?? formatByExtension(id) ?? 'yaml';
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.host.assertOpen();
    assertDocumentId(id);
    await this.server.request('reads', signal);
    const stored = this.server.document(id);
    return stored === undefined ? undefined : toDocument(stored);
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.host.assertOpen();
    assertDocumentId(id);
    await this.server.request('writes', options.signal);
    this.assertRevision(id, options);
    const format = options.format ?? this.formatOf(id);
    return this.server.setDocument(id, content, format).revision;
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.host.assertOpen();
    assertDocumentId(id);
    await this.server.request('writes', options.signal);
    this.assertRevision(id, options);
    return this.server.removeDocument(id);
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    await this.server.request('reads', signal);
    return this.server
      .documents()
      .map((stored) => stored.id)
      .filter((id) => id.startsWith(prefix));
  }

  private documents(scope: ConfigScope): readonly ConfigDocument[] {
    const all = this.server.documents();
    switch (scope.kind) {
      case 'application':
        return layersOf(all.map(toFile), scope.application, scope.profiles);
      case 'prefix':
        return all.filter((stored) => stored.id.startsWith(scope.prefix)).map(toDocument);
      case 'document':
        return all.filter((stored) => stored.id === scope.id).map(toDocument);
    }
  }

  private assertRevision(id: string, { ifRevision }: WriteOptions): void {
    if (ifRevision === undefined) return;
    const present = this.server.document(id)?.revision ?? null;
    if (present !== ifRevision) throw conflict(this.host.name, id, ifRevision, present);
  }
}

function toFile(stored: StoredDocument): ConfigFile {
  return { format: stored.format, document: toDocument(stored) };
}

function toDocument({ id, revision, format, text }: StoredDocument): ConfigDocument {
  return textDocument(id, revision, format, text);
}
