import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { minVersion } from 'semver';

/** The lowest version of each peer that is promised to work. */
export async function lowestPeers(): Promise<Readonly<Record<string, string>>> {
  const { peerDependencies } = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    readonly peerDependencies: Readonly<Record<string, string>>;
  };
  return Object.fromEntries(
    Object.entries(peerDependencies).map(([name, range]) => [name, minVersion(range)?.version ?? '']),
  );
}
