import { mkdir, readFile, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { isAlive } from './cache.js';
import type { ServerInfo } from './types.js';
import { waitFor } from './wait.js';

/** A server that `up` has left running. */
export interface Kept {
  /** The guard; its end is the server's end. */
  readonly guard: number;
  readonly server: ServerInfo;
}

function folder(): string {
  return join(tmpdir(), `nestjs-service-discovery-servers-${userInfo().username}`);
}

function fileOf(name: string): string {
  return join(folder(), `${name.replace(':', '@')}.json`);
}

/** Notes a server that outlives this process. */
export async function remember(name: string, kept: Kept): Promise<void> {
  await mkdir(folder(), { recursive: true, mode: 0o700 });
  // Moved into place in one step, for somebody may be reading.
  const written = join(folder(), `.${process.pid}-${name}`);
  await writeFile(written, JSON.stringify(kept), { mode: 0o600 });
  await rename(written, fileOf(name));
}

/** The servers that were left running, by name; notes about servers whose guard is gone are removed. */
export async function kept(): Promise<Map<string, Kept>> {
  const found = new Map<string, Kept>();
  const files = await readdir(folder()).catch((): string[] => []);
  for (const file of files.filter((each) => each.endsWith('.json'))) {
    const name = file.replace('@', ':').replace(/\.json$/, '');
    const note = JSON.parse(await readFile(fileOf(name), 'utf8')) as Kept;
    if (await isGuard(note.guard)) found.set(name, note);
    else await forget(name);
  }
  return found;
}

/** Ends a server and everything of it. */
export async function end(name: string, { guard }: Kept): Promise<void> {
  process.kill(guard, 'SIGTERM');
  await waitFor(() => !isAlive(guard), { what: `${name} ends`, timeoutMs: 30_000 });
  await forget(name);
}

async function forget(name: string): Promise<void> {
  await rm(fileOf(name), { force: true });
  await rmdir(folder()).catch(() => undefined); // stays while it holds others
}

/** Process ids are used again: what is killed must be a guard. */
async function isGuard(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform !== 'linux') return true;
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('guard-process.mjs');
}
