import { constants } from 'node:fs';
import { lstat, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { strangersProblem, writeFileAtomically } from '../backend/index.js';
import { codeOf, DiscoveryError, toFileName } from '../model/index.js';

/**
 * Last known data of a backend in a folder, one file a name, kept between runs. Who can write there decides what an app
 * starts with, so folder and files must be this user's own, closed to others and no links.
 */
export class DiskSnapshot {
  /** @param directory created, for the owner only, with the first write */
  constructor(private readonly directory: string) {}

  /**
   * Keeps `content` under `name` (any text; it is encoded into one safe file name).
   * @throws DiscoveryError `BACKEND_REFUSED` for a folder that isn't ours alone
   */
  async write(name: string, content: string): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await this.assertOwnFolder();
    await writeFileAtomically(this.path(name), content);
  }

  /**
   * What was last kept under `name`, or undefined.
   * @throws DiscoveryError `BACKEND_REFUSED` for a file or folder that isn't ours alone
   */
  async read(name: string): Promise<string | undefined> {
    const path = this.path(name);
    try {
      await this.assertOwnFolder();
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        // Of the open file: another one may take its name meanwhile.
        assertOwn(path, strangersProblem(await file.stat(), 0o022));
        return await file.readFile('utf8');
      } finally {
        await file.close();
      }
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      if (code === 'ELOOP') assertOwn(path, 'is a symbolic link');
      throw error;
    }
  }

  /** Forgets it; nothing happens when there is none. */
  async remove(name: string): Promise<void> {
    await rm(this.path(name), { force: true });
  }

  private async assertOwnFolder(): Promise<void> {
    const found = await lstat(this.directory);
    // What is no folder has no files, and the next access says so.
    if (found.isDirectory() || found.isSymbolicLink()) assertOwn(this.directory, strangersProblem(found));
  }

  private path(name: string): string {
    return join(this.directory, toFileName(name, 'snapshot name'));
  }
}

function assertOwn(path: string, problem: string | undefined): void {
  if (problem === undefined) return;
  throw new DiscoveryError('BACKEND_REFUSED', `${path} ${problem}`, { field: 'snapshotDirectory' });
}
