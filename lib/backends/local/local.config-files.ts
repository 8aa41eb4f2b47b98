import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  bytesDocument,
  conflict,
  digestOf,
  formatByExtension,
  sleep,
  writeFileAtomically,
  type DriverHost,
} from '../../backend/index.js';
import { codeOf, DiscoveryError } from '../../model/index.js';
import { isIgnoredFile, type ConfigFile } from './local.layers.js';

/** A longer file is no configuration. */
const MAX_FILE_BYTES = 1024 * 1024;

/** A writer that died leaves its lock; none holds it longer than this, in milliseconds. */
const STALE_LOCK_MS = 5000;

/** How long a writer waits for another one, in milliseconds. */
const LOCK_TIMEOUT_MS = 8000;

interface CachedFile {
  readonly version: string;
  /** Undefined for a file that is no configuration. */
  readonly file: ConfigFile | undefined;
}

/** The files of a configuration folder. Reads each content once; symbolic links (Kubernetes) are followed. */
export class ConfigFiles {
  private cache = new Map<string, CachedFile>();

  constructor(
    private readonly folder: string,
    private readonly host: DriverHost,
  ) {}

  /** The names of all files that can be configuration; none when the folder doesn't exist. */
  async names(): Promise<readonly string[]> {
    try {
      return (await readdir(this.folder)).filter((name) => !isIgnoredFile(name)).sort();
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /**
   * All files whose name is wanted.
   *
   * @throws the file system's error: half a configuration is worse than the one of before
   */
  async read(wanted: (name: string) => boolean): Promise<readonly ConfigFile[]> {
    const next = new Map<string, CachedFile>();
    const files: ConfigFile[] = [];
    for (const name of await this.names()) {
      if (!wanted(name)) continue;
      const read = await this.readFile(name);
      if (read === undefined) continue;
      next.set(name, read);
      if (read.file !== undefined) files.push(read.file);
    }
    this.cache = next;
    return files;
  }

  /** One file, or undefined when there is none. */
  async readOne(name: string): Promise<ConfigFile | undefined> {
    return (await this.readFile(name))?.file;
  }

  private async readFile(name: string): Promise<CachedFile | undefined> {
    const path = join(this.folder, name);
    try {
      const found = await stat(path);
      if (!found.isFile()) return undefined;
      const version = `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}`;
      const known = this.cache.get(name);
      if (known?.version === version) return known;
      if (found.size > MAX_FILE_BYTES) return this.skipped(name, version, `is longer than ${MAX_FILE_BYTES} bytes`);
      const content = await readFile(path);
      const format = formatByExtension(name) ?? 'text';
      // A key store or an image that lies beside the configuration.
      const document = bytesDocument(name, digestOf(content), format, content);
      const isText = document.content.format !== 'unreadable' && !content.includes(0);
      if (format === 'text' && !isText) return this.skipped(name, version, 'is no text');
      return { version, file: Object.freeze({ format, document }) };
    } catch (error) {
      // Removed meanwhile, or a link to nothing.
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  private skipped(name: string, version: string, problem: string): CachedFile {
    this.host.skip(join(this.folder, name), problem, version, 'CONFIG_DOCUMENT_INVALID');
    return { version, file: undefined };
  }
}

/** Writes into a configuration folder, one writer at a time for each file, also among processes. */
export class ConfigWriter {
  constructor(
    private readonly folder: string,
    private readonly host: DriverHost,
  ) {}

  /** Creates or replaces a file; resolves with its revision. */
  publish(
    name: string,
    text: string,
    ifRevision: string | null | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    return this.exclusively(name, signal, async () => {
      await this.assertRevision(name, ifRevision);
      const path = await this.target(name);
      // Others may have been allowed to read it.
      const mode = await modeOf(path);
      await writeFileAtomically(path, text);
      if (mode !== undefined) await chmod(path, mode);
      return digestOf(Buffer.from(text, 'utf8'));
    });
  }

  /** Removes a file; resolves with whether it was there. */
  remove(name: string, ifRevision: string | null | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    return this.exclusively(name, signal, async () => {
      await this.assertRevision(name, ifRevision);
      const path = join(this.folder, name);
      const there = (await modeOf(path)) !== undefined;
      await rm(path, { force: true });
      return there;
    });
  }

  private async assertRevision(name: string, expected: string | null | undefined): Promise<void> {
    if (expected === undefined) return;
    const present = await this.revisionNow(name);
    if (present === expected) return;
    throw conflict(this.host.name, name, expected, present);
  }

  private async revisionNow(name: string): Promise<string | null> {
    try {
      return digestOf(await readFile(join(this.folder, name)));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  /** Where to write: behind a symbolic link, so that the link stays. */
  private async target(name: string): Promise<string> {
    const path = join(this.folder, name);
    return realpath(path).catch(() => path);
  }

  private async exclusively<T>(name: string, signal: AbortSignal | undefined, operation: () => Promise<T>): Promise<T> {
    // Hashed: a lock's name must fit wherever the file's own does.
    const lock = join(this.folder, `.lock-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`);
    const token = randomUUID();
    await mkdir(this.folder, { recursive: true });
    await this.lock(lock, token, name, signal);
    try {
      return await operation();
    } finally {
      // Taken over by somebody who thought us dead: then it is theirs.
      const held = await readFile(lock, 'utf8').catch(() => '');
      if (held === token) await rm(lock, { force: true });
    }
  }

  private async lock(path: string, token: string, name: string, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.host.context;
    const giveUpAt = clock.now() + LOCK_TIMEOUT_MS;
    for (;;) {
      if (signal?.aborted === true) throw new DiscoveryError('ABORTED', `writing ${name} was aborted`);
      try {
        const file = await open(path, 'wx', 0o600);
        try {
          await file.writeFile(token);
        } finally {
          await file.close();
        }
        return;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
      const taken = await stat(path).catch(() => undefined);
      // Real time, as the file's own.
      if (taken !== undefined && Date.now() - taken.mtimeMs > STALE_LOCK_MS) await rm(path, { force: true });
      else if (clock.now() > giveUpAt) {
        throw new DiscoveryError('TIMEOUT', `somebody else keeps writing ${name}; remove ${path} if nobody does`, {
          backend: this.host.name,
        });
      } else await sleep(clock, 5 + this.host.context.random() * 20, signal);
    }
  }
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode & 0o7777;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
