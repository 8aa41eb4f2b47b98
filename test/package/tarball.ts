import { join } from 'node:path';
import { run } from '../servers/exec.js';

/** The package as npm publishes it; sizes in bytes. */
export interface Tarball {
  readonly path: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly entryCount: number;
}

/** Packs what was built. */
export async function packTarball(folder: string): Promise<Tarball> {
  const text = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: join(import.meta.dirname, '../..'),
  });
  // Some versions of npm answer with a list, others by names.
  const [packed] = Object.values(JSON.parse(text) as Record<string, Omit<Tarball, 'path'> & { filename: string }>);
  if (packed === undefined) throw new Error(`npm packed nothing: ${text}`);
  const { filename, size, unpackedSize, entryCount } = packed;
  return { path: join(folder, filename), size, unpackedSize, entryCount };
}
