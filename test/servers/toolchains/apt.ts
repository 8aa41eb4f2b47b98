import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../cache.js';
import { run, which } from '../exec.js';
import { whileShowing } from '../progress.js';

/** Whether this machine has Debian's package tools. */
export async function hasApt(): Promise<boolean> {
  return (await which('apt-get')) !== undefined && (await which('dpkg-deb')) !== undefined;
}

/**
 * Downloads Debian packages and unpacks them into a folder. Nothing is installed: no root needed, no service started,
 * nothing of the machine changed; apt's own lists are fetched to a place of ours.
 */
export async function unpackDebianPackages(packages: readonly string[], folder: string): Promise<void> {
  const apt = join(folder, '.apt');
  const lists = join(apt, 'lists');
  const archives = join(apt, 'archives');
  await Promise.all([lists, archives].map((path) => mkdir(join(path, 'partial'), { recursive: true })));
  const options = [
    ['Dir::State::lists', lists],
    ['Dir::Cache', apt],
    ['Dir::Cache::archives', archives],
    ['Dir::State::status', '/var/lib/dpkg/status'],
    ['APT::Sandbox::User', ''], // the folder is ours alone, apt's own user may not enter it
    ['Acquire::Retries', '3'],
    ['Acquire::Languages', 'none'],
  ].flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  try {
    await run('apt-get', [...options, '-q', 'update'], { attempts: 3 });
    await run('apt-get', [...options, '-q', 'download', ...packages], { cwd: archives, attempts: 3 });
    const files = (await readdir(archives)).filter((name) => name.endsWith('.deb'));
    for (const file of files) await run('dpkg-deb', ['-x', join(archives, file), folder]);
  } finally {
    await rm(apt, { recursive: true, force: true });
  }
}

/** Installs packages for good, which needs root or a sudo that asks nothing. Gives the reason when it can't. */
export async function installDebianPackages(packages: readonly string[]): Promise<string | undefined> {
  if (!(await hasApt())) return 'apt-get is not on this machine';
  const prefix = await rootPrefix();
  if (!prefix) return 'installing needs root or a sudo without password';
  const apt = async (...args: string[]) => {
    const [command = 'apt-get', ...rest] = [
      ...prefix,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      '-q',
      '-y',
      ...args,
    ];
    await run(command, rest, { attempts: 3 });
  };
  try {
    const install = withLock('apt', async () => {
      await apt('-o', 'DPkg::Lock::Timeout=300', 'update');
      await apt('-o', 'DPkg::Lock::Timeout=300', 'install', '--no-install-recommends', ...packages);
    });
    await whileShowing(`installing ${packages.join(', ')}`, install);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function rootPrefix(): Promise<string[] | undefined> {
  if (process.getuid?.() === 0) return [];
  if (!(await which('sudo'))) return undefined;
  return run('sudo', ['-n', 'true']).then(
    () => ['sudo', '-n'],
    () => undefined,
  );
}
