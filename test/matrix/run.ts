import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { lowestPeers } from '../package/lowest-peers.js';
import { run } from '../servers/exec.js';
import { type NodeMajor, provideNode } from '../servers/toolchains/node.js';
import { versions } from '../servers/versions.js';

/**
 * `npm run matrix`: what the normal run leaves out because it takes too long, for a weekly run and before a release.
 * Without a flag everything; with flags only what they name.
 */
const usage = `Usage: npm run matrix -- [--node <major>…] [--servers] [--grpc <version>…] [-- arguments of vitest]

  --node     the projects unit, nest-12, nest-11 and e2e on this Node (${Object.keys(versions.node).join(', ')}); may be repeated
  --servers  the projects contract and wings against the newest servers that can be had
  --grpc     the tests of gRPC with this @grpc/grpc-js, a version or a range; may be repeated. 'all' for the oldest that is
             supported and the newest of each minor version since`;

interface Row {
  readonly name: string;
  readonly projects: readonly string[];
  readonly node?: NodeMajor;
  /** What the test files' paths begin with; all without. */
  readonly files?: readonly string[];
  readonly grpc?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

const root = join(import.meta.dirname, '../..');
/** Whatever calls or serves by grpc-js. */
const GRPC: Pick<Row, 'projects' | 'files'> = {
  projects: ['unit', 'nest-12', 'contract', 'wings'],
  files: [
    ...['grpc', 'lanes', 'matrix', 'traces'].map((name) => `test/nest/microservices/${name}`),
    'test/nest/message-servers',
    'test/unit/nacos/channel',
    'test/contract/nacos-grpc',
    'test/wings/nacos/grpc-client',
  ],
};
const majors = Object.keys(versions.node).map(Number) as NodeMajor[];

async function rowsOf(argv: readonly string[]): Promise<Row[]> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      node: { type: 'string', multiple: true },
      servers: { type: 'boolean', default: false },
      grpc: { type: 'string', multiple: true },
    },
  });
  const isAll = values.node === undefined && values.grpc === undefined && !values.servers;
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
  for (const version of values.grpc ?? (isAll ? ['all'] : [])) {
    const those = version === 'all' ? [(await lowestPeers())['@grpc/grpc-js'] ?? '', '~1.13', '~1.14'] : [version];
    rows.push(...those.map((grpc) => ({ ...GRPC, name: `@grpc/grpc-js ${grpc}`, grpc })));
  }
  return rows;
}

/** Has the tests find another grpc-js than the repository's, from a folder that is there for as long as the row runs. */
async function withGrpc(row: Row, more: readonly string[]): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'matrix-grpc-'));
  try {
    const packages = [`@grpc/grpc-js@${row.grpc}`];
    await run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', ...packages], { attempts: 3 });
    const { version } = JSON.parse(await readFile(join(folder, 'node_modules/@grpc/grpc-js/package.json'), 'utf8')) as {
      readonly version: string;
    };
    process.stdout.write(`${version} is installed\n`);
    const hook = pathToFileURL(join(import.meta.dirname, 'other-grpc.mjs')).href;
    const options = `${process.env['NODE_OPTIONS'] ?? ''} --import=${hook}`.trim();
    const environment = { NSD_GRPC: folder, NODE_OPTIONS: options, REQUIRE_SERVERS: '1' };
    const isOk = await isGreen({ ...row, environment }, more);
    if (!existsSync(join(folder, 'used'))) throw new Error(`no test has loaded @grpc/grpc-js ${version}`);
    return isOk;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
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
      ...(row.files ?? []),
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
  for (const row of await rowsOf(own)) {
    process.stdout.write(`\n=== ${row.name}\n`);
    const green = await (row.grpc === undefined ? isGreen : withGrpc)(row, more);
    results.push(`${green ? 'green' : 'RED  '}  ${row.name}`);
    if (!green) process.exitCode = 1;
  }
  process.stdout.write(`\n${results.join('\n')}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
  process.exitCode = 2;
}
