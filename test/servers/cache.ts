import { randomUUID } from 'node:crypto';
import { access, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { progress } from './progress.js';

/** Where programs are kept between runs; never inside the work tree. */
export function cacheFolder(): string {
  const own = process.env['NSD_SERVER_CACHE'];
  if (own) return own;
  const root = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(root, 'nestjs-service-discovery', 'servers');
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The cached folder for a key, if there is one. */
export async function lookUp(key: string): Promise<string | undefined> {
  const folder = join(cacheFolder(), key);
  return (await exists(folder)) ? folder : undefined;
}

/**
 * The cached folder for a key, built first if need be. One process builds, others wait for it; the result is moved into
 * place in one step, so a broken build is never taken for a good one.
 */
export async function cached(key: string, build: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), key);
  if (await exists(folder)) return folder;
  return withLock(key, async () => {
    if (await exists(folder)) return folder;
    await removeLeftovers(key);
    const building = join(cacheFolder(), `.building-${key}-${randomUUID()}`);
    await mkdir(building, { recursive: true });
    try {
      await build(building);
      await rename(building, folder);
    } finally {
      await rm(building, { recursive: true, force: true });
    }
    return folder;
  });
}

/** Under the lock nobody else builds this key, so what a killed build left can go. */
async function removeLeftovers(key: string): Promise<void> {
  const names = await readdir(cacheFolder());
  const left = names.filter((name) => name.startsWith(`.building-${key}-`));
  await Promise.all(left.map((name) => rm(join(cacheFolder(), name), { recursive: true, force: true })));
}

/** Runs the action while holding a lock file; a lock whose holder is dead is taken over. */
export async function withLock<T>(name: string, action: () => Promise<T>): Promise<T> {
  await mkdir(cacheFolder(), { recursive: true });
  const file = join(cacheFolder(), `.lock-${name}`);
  for (let round = 0; !(await acquire(file)); round++) {
    const holder = Number(await readFile(file, 'utf8').catch(() => ''));
    // A lock without a number is being written this very moment, or its writer died just then.
    if (holder > 0 ? !isAlive(holder) : await isOlderThan(file, 10_000)) await takeOver(file, holder);
    else {
      if (round % 100 === 10) progress(`waiting for process ${holder}, which prepares ${name}`);
      await sleep(200);
    }
  }
  try {
    return await action();
  } finally {
    await rm(file, { force: true });
  }
}

async function isOlderThan(file: string, ms: number): Promise<boolean> {
  return stat(file).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > ms,
    () => false,
  );
}

async function acquire(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(String(process.pid));
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Renames the dead holder's lock away: of several waiting processes only one succeeds in that. */
async function takeOver(file: string, holder: number): Promise<void> {
  const aside = `${file}-${randomUUID()}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  const moved = Number(await readFile(aside, 'utf8').catch(() => ''));
  // If somebody else was quicker, this is their fresh lock: it goes back.
  if (moved !== holder && moved > 0 && isAlive(moved)) await rename(aside, file);
  else await rm(aside, { force: true });
}

/** Whether a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
