import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type NodeMajor, provideNode } from '../servers/toolchains/node.js';
import { versions } from '../servers/versions.js';

/**
 * `npm run matrix`: what the normal run leaves out because it takes too long, for a weekly run and before a release.
 * Without a flag everything; with flags only what they name.
 */
const usage = `Usage: npm run matrix -- [--node <major>…] [--servers] [-- arguments of vitest]

  --node     the projects unit, nest-12, nest-11 and e2e on this Node (${Object.keys(versions.node).join(', ')}); may be repeated
  --servers  the projects contract and wings against the newest servers that can be had`;

interface Row {
  readonly name: string;
  readonly projects: readonly string[];
  readonly node?: NodeMajor;
  readonly environment?: Readonly<Record<string, string>>;
}

const root = join(import.meta.dirname, '../..');
const majors = Object.keys(versions.node).map(Number) as NodeMajor[];

function rowsOf(argv: readonly string[]): Row[] {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      node: { type: 'string', multiple: true },
      servers: { type: 'boolean', default: false },
    },
  });
  const isAll = values.node === undefined && !values.servers;
  const wanted = (values.node ?? (isAll ? majors : [])).map((text) => {
    const major = majors.find((known) => known === Number(text));
    if (major === undefined) throw new TypeError(`--node ${text}: known are ${majors.join(', ')}`);
    return major;
  });
  const rows = wanted.map((node): Row => ({
    name: `Node ${node}`,
    node,
    projects: ['unit', 'nest-12', 'nest-11', 'e2e'],
  }));
  if (isAll || values.servers) {
    rows.push({
      name: 'the newest servers',
      projects: ['contract', 'wings'],
      environment: { NSD_SERVERS: 'newest', REQUIRE_SERVERS: '1' },
    });
  }
  return rows;
}

/** Runs vitest with the row's Node, which stands first in the PATH too, so that npm and what a test starts are of it. */
async function isGreen(row: Row, more: readonly string[]): Promise<boolean> {
  const node = row.node === undefined ? process.execPath : await provideNode(row.node);
  const child = spawn(
    node,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      ...row.projects.flatMap((name) => ['--project', name]),
      ...more,
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, PATH: dirname(node) + delimiter + (process.env['PATH'] ?? ''), ...row.environment },
    },
  );
  const code = await new Promise((resolve) => child.once('exit', resolve));
  return code === 0;
}

const separator = process.argv.indexOf('--', 2);
const [own, more] =
  separator < 0 ? [process.argv.slice(2), []] : [process.argv.slice(2, separator), process.argv.slice(separator + 1)];

try {
  const results: string[] = [];
  for (const row of rowsOf(own)) {
    process.stdout.write(`\n=== ${row.name}\n`);
    const green = await isGreen(row, more);
    results.push(`${green ? 'green' : 'RED  '}  ${row.name}`);
    if (!green) process.exitCode = 1;
  }
  process.stdout.write(`\n${results.join('\n')}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
  process.exitCode = 2;
}
