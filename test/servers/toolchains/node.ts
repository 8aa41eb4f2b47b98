import { join } from 'node:path';
import { cached } from '../cache.js';
import { run } from '../exec.js';
import { whileShowing } from '../progress.js';
import { versions } from '../versions.js';

/** A major version of Node that tests run programs with. */
export type NodeMajor = keyof typeof versions.node;

/** The program of another Node than this one, which npm's package `node` brings. */
export async function provideNode(major: NodeMajor): Promise<string> {
  const version = versions.node[major];
  const folder = await cached(`node-${version}-${process.platform}-${process.arch}`, (target) =>
    whileShowing(`fetching Node ${version}`, install(version, target)),
  );
  return join(folder, 'node_modules', '.bin', 'node');
}

async function install(version: string, target: string): Promise<void> {
  await run('npm', ['install', '--prefix', target, '--no-audit', '--no-fund', `node@${version}`], { attempts: 3 });
}
