import { lstat, mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { strangersProblem } from '../../backend/index.js';
import { codeOf, DiscoveryError, messageOf, toFileName } from '../../model/index.js';
import type { LocalSettings } from './local.options.js';
import { ownIdentity } from './local.process.js';

/** The extension of record files; everything else in a service's folder is none of ours. */
export const RECORD_EXTENSION = '.json';

/**
 * The folder in which the processes of one user meet: `<directory>/<namespace>/registry/<service>/<instance>.json`.
 * Nobody else may get in: who can write here decides where calls go.
 */
export class LocalDirectory {
  /** The folder with one folder a service. */
  readonly registry: string;
  /** Who we are among those who meet there. */
  readonly own = ownIdentity();
  private readonly root: string;
  private readonly backend: string;

  constructor(settings: LocalSettings) {
    this.root = settings.directory;
    this.backend = settings.name;
    this.registry = join(settings.directory, toFileName(settings.namespace, 'namespace'), 'registry');
  }

  /** @throws DiscoveryError `INVALID_NAME` for a name too long to be a folder */
  serviceFolder(service: string): string {
    return join(this.registry, toFileName(service, 'service'));
  }

  /** @throws DiscoveryError `INVALID_NAME` for names too long to be files */
  recordPath(service: string, instanceId: string): string {
    return join(this.serviceFolder(service), `${toFileName(instanceId, 'instanceId')}${RECORD_EXTENSION}`);
  }

  /**
   * Creates the outermost folder when it is missing, and checks that it is ours alone.
   *
   * @throws DiscoveryError `BACKEND_REFUSED` when others could read or write it, `BACKEND_UNAVAILABLE` when it can't be
   * created or isn't a folder
   */
  async secure(): Promise<void> {
    try {
      await mkdir(dirname(this.root), { recursive: true, mode: 0o700 });
      await mkdir(this.root, { mode: 0o700 });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw this.unusable(`could not be created: ${messageOf(error)}`, error);
    }
    const found = await lstat(this.root).catch((error: unknown) => {
      throw this.unusable(`could not be examined: ${messageOf(error)}`, error);
    });
    if (!found.isDirectory() && !found.isSymbolicLink()) throw this.unusable('is not a folder');
    const problem = strangersProblem(found);
    if (problem !== undefined) throw this.insecure(problem);
  }

  /** Creates the folder of all records. @throws the file system's error */
  async createRegistry(): Promise<void> {
    await mkdir(this.registry, { recursive: true, mode: 0o700 });
  }

  /** Creates the folder of one service. @throws the file system's error */
  async createFolderOf(service: string): Promise<void> {
    await mkdir(this.serviceFolder(service), { recursive: true, mode: 0o700 });
  }

  /**
   * Makes sure that the folder of all records is there: without it nobody can say that a service has no instances.
   *
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`
   */
  async assertRegistry(): Promise<void> {
    try {
      if ((await stat(this.registry)).isDirectory()) return;
    } catch (error) {
      throw new DiscoveryError(
        'BACKEND_UNAVAILABLE',
        `the folder ${this.registry} of ${this.backend} is gone (${messageOf(error)}); the next registration creates it again`,
        { backend: this.backend, cause: error },
      );
    }
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `${this.registry} is not a folder`, { backend: this.backend });
  }

  private insecure(problem: string): DiscoveryError {
    return new DiscoveryError('BACKEND_REFUSED', `the directory ${this.root} of ${this.backend} ${problem}`, {
      backend: this.backend,
      field: 'directory',
    });
  }

  private unusable(problem: string, cause?: unknown): DiscoveryError {
    return new DiscoveryError('BACKEND_UNAVAILABLE', `the directory ${this.root} of ${this.backend} ${problem}`, {
      backend: this.backend,
      field: 'directory',
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
