import {
  abandonOnAbort,
  assertFormat,
  formatByExtension,
  type ConfigDriver,
  type ConfigReport,
  type DriverHost,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import { codeOf, toDiscoveryError, type ConfigDocument, type ConfigScope } from '../../model/index.js';
import { ConfigFiles, ConfigWriter } from './local.config-files.js';
import { assertFileId, isLayerFile, layersOf, type ConfigFile } from './local.layers.js';
import { liveSource } from './local.live-source.js';
import type { LocalSettings } from './local.options.js';

/** Answers of the file system that trying again won't change. */
const REFUSALS: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'EISDIR', 'ENAMETOOLONG', 'ENOSPC']);

/** The configuration side: a folder of files. */
export class LocalConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;
  private readonly writer: ConfigWriter;

  constructor(
    private readonly host: DriverHost,
    private readonly settings: LocalSettings,
  ) {
    this.writer = new ConfigWriter(settings.configDirectory, host);
  }

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    const { configDirectory: folder, pollMs } = this.settings;
    const files = this.files();
    const select = selection(scope);
    const source = liveSource({
      what: `the configuration in ${folder}`,
      folder,
      pollMs,
      // Editors write in several steps.
      gatherMs: 50,
      read: async () => select.documents(await files.read(select.wanted)),
    });
    return this.host.documents(() => source, report);
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.host.assertOpen();
    assertFileId(id);
    const file = await this.attempt(`reading ${id}`, abandonOnAbort(this.files().readOne(id), signal, `reading ${id}`));
    return file?.document;
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.host.assertOpen();
    assertFileId(id);
    assertFormat(`the file ${id}`, options.format, formatByExtension(id) ?? 'text');
    return this.attempt(`writing ${id}`, this.writer.publish(id, content, options.ifRevision, options.signal));
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.host.assertOpen();
    assertFileId(id);
    return this.attempt(`removing ${id}`, this.writer.remove(id, options.ifRevision, options.signal));
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const what = `listing ${this.settings.configDirectory}`;
    const names = await this.attempt(what, abandonOnAbort(this.files().names(), signal, what));
    return names.filter((name) => name.startsWith(prefix));
  }

  private files(): ConfigFiles {
    return new ConfigFiles(this.settings.configDirectory, this.host);
  }

  private async attempt<T>(what: string, operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } catch (error) {
      const refused = REFUSALS.has(codeOf(error) ?? '');
      throw toDiscoveryError(error, refused ? 'BACKEND_REFUSED' : 'BACKEND_UNAVAILABLE', `${what} failed`, {
        backend: this.host.name,
      });
    }
  }
}

interface Selection {
  readonly wanted: (name: string) => boolean;
  readonly documents: (files: readonly ConfigFile[]) => readonly ConfigDocument[];
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
        documents: ofFiles,
      };
    case 'document':
      assertFileId(scope.id);
      return { wanted: (name) => name === scope.id, documents: ofFiles };
  }
}

function ofFiles(files: readonly ConfigFile[]): readonly ConfigDocument[] {
  return Object.freeze(files.map(({ document }) => document));
}
