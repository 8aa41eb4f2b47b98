import { randomUUID } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../../model/index.js';

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
      await flush(file);
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** A file system that knows no flushing (Yarn's Plug'n'Play, some network drives) isn't a reason to have no file. */
async function flush(file: Pick<FileHandle, 'sync'>): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    if (!['', 'ENOSYS', 'ENOTSUP', 'EINVAL'].includes(codeOf(error) ?? '')) throw error;
  }
}
