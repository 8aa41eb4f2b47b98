import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, toFileName } from '../model/index.js';

/**
 * Writes a file so that readers see either the old content or the new one: into a temporary file beside it, flushed,
 * then renamed over it. Only the owner may read it.
 */
export async function writeFileAtomically(path: string, content: string | Uint8Array): Promise<void> {
  // Named without the target's name, which may be as long as a name can be.
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Last known data of a backend in a folder, one file a name, kept between runs. */
export class DiskSnapshot {
  /** @param directory created, for the owner only, with the first write */
  constructor(private readonly directory: string) {}

  /** Keeps `content` under `name` (any text; it is encoded into one safe file name). */
  async write(name: string, content: string): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await writeFileAtomically(this.path(name), content);
  }

  /** What was last kept under `name`, or undefined. */
  async read(name: string): Promise<string | undefined> {
    try {
      return await readFile(this.path(name), 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  }

  /** Forgets it; nothing happens when there is none. */
  async remove(name: string): Promise<void> {
    await rm(this.path(name), { force: true });
  }

  private path(name: string): string {
    return join(this.directory, toFileName(name, 'snapshot name'));
  }
}
