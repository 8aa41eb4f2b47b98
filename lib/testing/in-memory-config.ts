import { formatOfId, layersOf, toDocument } from '../backends/local/local.layers.js';
import {
  Reporter,
  type BackendContext,
  type ConfigDriver,
  type ConfigReport,
  type Watch,
  type WriteOptions,
} from '../backend/index.js';
import {
  describe,
  DiscoveryError,
  nameProblem,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigScope,
} from '../model/index.js';
import type { InMemoryServer } from './in-memory-server.js';

export { formatOfId };

/** @throws DiscoveryError `INVALID_NAME` unless `id` is names, perhaps with single slashes between them */
export function assertDocumentId(id: string): void {
  const problem = typeof id === 'string' ? id.split('/').map(nameProblem).find(Boolean) : 'must be a text';
  if (problem !== undefined) {
    throw new DiscoveryError('INVALID_NAME', `each part of a document's id ${problem}, got ${describe(id)}`, {
      field: 'id',
    });
  }
}

/** What the driver needs of the backend that it belongs to. */
export interface ConfigDriverOwner {
  assertOpen(): void;
  own(close: () => Promise<unknown>): () => void;
}

/** The configuration side of an in-memory backend. */
export class InMemoryConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;

  constructor(
    private readonly server: InMemoryServer,
    private readonly context: BackendContext,
    private readonly backend: string,
    private readonly owner: ConfigDriverOwner,
  ) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    this.owner.assertOpen();
    if (scope.kind === 'document') assertDocumentId(scope.id);
    let disown = (): void => {};
    const watch = new InMemoryConfigWatch(this.server, this.context, this.backend, scope, report, () => disown());
    disown = this.owner.own(() => watch.close());
    return watch;
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.owner.assertOpen();
    assertDocumentId(id);
    await this.server.request('reads', signal);
    const stored = this.server.document(id);
    return stored === undefined ? undefined : toDocument(stored);
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.owner.assertOpen();
    assertDocumentId(id);
    await this.server.request('writes', options.signal);
    this.assertRevision(id, options);
    const before = this.server.document(id);
    return this.server.setDocument(id, content, options.format ?? before?.format ?? formatOfId(id) ?? 'yaml').revision;
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.owner.assertOpen();
    assertDocumentId(id);
    await this.server.request('writes', options.signal);
    this.assertRevision(id, options);
    return this.server.removeDocument(id);
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.owner.assertOpen();
    await this.server.request('reads', signal);
    return this.server
      .documents()
      .map((stored) => stored.id)
      .filter((id) => id.startsWith(prefix));
  }

  private assertRevision(id: string, { ifRevision }: WriteOptions): void {
    if (ifRevision === undefined) return;
    const present = this.server.document(id)?.revision ?? null;
    if (present === ifRevision) return;
    const there = present === null ? "doesn't exist" : `has revision ${present}`;
    const expected = ifRevision === null ? "shouldn't exist" : `should have revision ${ifRevision}`;
    throw new DiscoveryError('CONFIG_CONFLICT', `the document '${id}' ${there} and ${expected}; read it again`, {
      backend: this.backend,
      field: 'ifRevision',
    });
  }
}

/** Reports the documents of one scope after every change. */
class InMemoryConfigWatch implements Watch {
  private readonly reporter: Reporter<ConfigReport>;
  private readonly closing = new AbortController();
  private readonly unobserve: () => void;
  /** Ids and revisions of the last report. */
  private last: string | undefined;
  private lastError: DiscoveryError | undefined;

  constructor(
    private readonly server: InMemoryServer,
    context: BackendContext,
    private readonly backend: string,
    private readonly scope: ConfigScope,
    report: (report: ConfigReport) => void,
    private readonly onClosed: () => void,
  ) {
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `configuration watch on ${backend}`, error }),
    );
    server.stats.openConfigWatches += 1;
    server.stats.configWatchesOpened += 1;
    this.unobserve = server.observe({ documents: () => this.look(), availability: () => this.look() });
    // Failures are reported by the reading itself.
    this.refresh().catch(() => {});
  }

  async refresh(): Promise<void> {
    try {
      await this.server.request('reads', this.closing.signal);
    } catch (error) {
      if (this.closing.signal.aborted) throw this.closedError();
      const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', 'the configuration could not be read');
      await this.sendError(failure);
      throw failure;
    }
    if (this.closing.signal.aborted) throw this.closedError();
    await this.sendDocuments(this.documents());
  }

  close(): Promise<void> {
    if (this.closing.signal.aborted) return Promise.resolve();
    this.closing.abort();
    this.unobserve();
    this.reporter.close();
    this.server.stats.openConfigWatches -= 1;
    this.onClosed();
    return Promise.resolve();
  }

  private look(): void {
    if (this.server.paused) return;
    const { failure } = this.server;
    if (failure !== undefined) {
      if (failure !== this.lastError) void this.sendError(failure);
      return;
    }
    const next = this.documents();
    // The first set is the first reading's to report.
    const news = this.lastError !== undefined || (this.last !== undefined && fingerprint(next) !== this.last);
    if (news) void this.sendDocuments(next);
  }

  private documents(): readonly ConfigDocument[] {
    const all = this.server.documents();
    const { scope } = this;
    switch (scope.kind) {
      case 'application':
        return layersOf(all, scope.application, scope.profiles);
      case 'prefix':
        return all.filter((stored) => stored.id.startsWith(scope.prefix)).map(toDocument);
      case 'document':
        return all.filter((stored) => stored.id === scope.id).map(toDocument);
    }
  }

  private sendDocuments(documents: readonly ConfigDocument[]): Promise<void> {
    this.last = fingerprint(documents);
    this.lastError = undefined;
    return this.reporter.send({ documents });
  }

  private sendError(error: DiscoveryError): Promise<void> {
    this.lastError = error;
    return this.reporter.send({ error });
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', 'the configuration watch was closed', { backend: this.backend });
  }
}

function fingerprint(documents: readonly ConfigDocument[]): string {
  return JSON.stringify(documents.map((document) => [document.id, document.revision]));
}
