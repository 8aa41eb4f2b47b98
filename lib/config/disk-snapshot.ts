import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../backend/index.js';
import { codeOf, toFileName } from '../model/index.js';

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
