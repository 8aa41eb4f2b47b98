import {
  abandonOnAbort,
  type BackendContext,
  type ConfigDriver,
  type ConfigReport,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import {
  codeOf,
  DiscoveryError,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
} from '../../model/index.js';
import { ConfigFiles, ConfigWriter } from './local.config-files.js';
import { assertFileId, formatOfId, isLayerFile, layersOf, toDocument, type NamedText } from './local.layers.js';
import { LiveReading, type Health } from './local.live-reading.js';

/** What the driver needs of its backend. */
export interface LocalConfigOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly folder: string;
  readonly pollMs: number;
  readonly assertOpen: () => void;
  /** Takes what must be ended with the backend; gives the way to take it back. */
  readonly adopt: (close: () => Promise<unknown>) => () => void;
  readonly health: Health;
}

/** Answers of the file system that trying again won't change. */
const REFUSALS: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'EISDIR', 'ENAMETOOLONG', 'ENOSPC']);

/** The configuration side: a folder of files. */
export class LocalConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;
  private readonly writer: ConfigWriter;

  constructor(private readonly options: LocalConfigOptions) {
    this.writer = new ConfigWriter(options.folder, options.backend, options.context);
  }

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    this.options.assertOpen();
    const { context, backend, folder, pollMs, adopt, health } = this.options;
    const files = this.files();
    const select = selection(scope);
    let last: readonly ConfigDocument[] = [];
    let fingerprint: string | undefined;
    let disown = (): void => {};
    const watch = new LiveReading<readonly ConfigDocument[]>({
      context,
      backend,
      what: `the configuration in ${folder}`,
      folder,
      pollMs,
      // Editors write in several steps.
      gatherMs: 50,
      read: async () => {
        const documents = select.documents(await files.read(select.wanted));
        const next = JSON.stringify(documents.map((document) => [document.id, document.revision]));
        if (next !== fingerprint) last = documents;
        fingerprint = next;
        return last;
      },
      deliver: ({ value, error }) => report(error === undefined ? { documents: value } : { error }),
      health,
      onClosed: () => disown(),
    });
    disown = adopt(() => watch.close());
    return watch;
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.options.assertOpen();
    assertFileId(id);
    const file = await this.attempt(`reading ${id}`, abandonOnAbort(this.files().readOne(id), signal, `reading ${id}`));
    return file === undefined ? undefined : toDocument(file);
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.options.assertOpen();
    assertFileId(id);
    assertFormat(id, options.format);
    return this.attempt(`writing ${id}`, this.writer.publish(id, content, options.ifRevision, options.signal));
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.options.assertOpen();
    assertFileId(id);
    return this.attempt(`removing ${id}`, this.writer.remove(id, options.ifRevision, options.signal));
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.options.assertOpen();
    const what = `listing ${this.options.folder}`;
    const names = await this.attempt(what, abandonOnAbort(this.files().names(), signal, what));
    return names.filter((name) => name.startsWith(prefix));
  }

  private files(): ConfigFiles {
    const { folder, backend, context } = this.options;
    return new ConfigFiles(folder, backend, context);
  }

  private async attempt<T>(what: string, operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } catch (error) {
      const refused = REFUSALS.has(codeOf(error) ?? '');
      throw toDiscoveryError(error, refused ? 'BACKEND_REFUSED' : 'BACKEND_UNAVAILABLE', `${what} failed`, {
        backend: this.options.backend,
      });
    }
  }
}

interface Selection {
  readonly wanted: (name: string) => boolean;
  readonly documents: (files: readonly NamedText[]) => readonly ConfigDocument[];
}

function selection(scope: ConfigScope): Selection {
  switch (scope.kind) {
    case 'application': {
      const { application, profiles } = scope;
      return {
        wanted: (name) => isLayerFile(name, application, profiles),
        documents: (files) => layersOf(files, application, profiles),
      };
    }
    case 'prefix':
      return {
        wanted: (name) => name.startsWith(scope.prefix),
        documents: (files) => Object.freeze(files.map(toDocument)),
      };
    case 'document':
      assertFileId(scope.id);
      return { wanted: (name) => name === scope.id, documents: (files) => Object.freeze(files.map(toDocument)) };
  }
}

/** A file's format is its extension: a text that is stored under another would be read as something else. */
function assertFormat(id: string, format: ConfigFormat | undefined): void {
  const actual = formatOfId(id) ?? 'text';
  if (format === undefined || format === actual) return;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `the file ${id} is read as ${actual}, not as ${format}; give it the extension of its format (.yaml, .json, .properties)`,
    { field: 'format' },
  );
}
