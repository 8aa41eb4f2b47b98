import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isAlive } from '../cache.js';
import type { ServerInfo } from '../types.js';
import { waitFor } from '../wait.js';

const require = createRequire(import.meta.url);
const tsx = pathToFileURL(require.resolve('tsx')).href;

/** A process that a test has started. */
export interface Child {
  readonly pid: number;
  readonly output: () => string;
  /** Its first line of stdout. */
  readonly firstLine: Promise<string>;
  readonly exited: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts one of this folder's TypeScript files. */
export function startScript(file: string, args: readonly string[], env: Record<string, string> = {}): Child {
  return startNode(['--import', tsx, fileURLToPath(new URL(file, import.meta.url)), ...args], env);
}

/** Starts a run of vitest over one of the fixtures. */
export function startFixture(name: string, env: Record<string, string | undefined>): Child {
  const vitest = fileURLToPath(
    new URL('vitest.mjs', pathToFileURL(`${dirname(require.resolve('vitest/package.json'))}/`)),
  );
  const config = fileURLToPath(new URL('./fixtures/vitest.config.ts', import.meta.url));
  return startNode([vitest, 'run', name, '--config', config], env);
}

function startNode(args: readonly string[], env: Record<string, string | undefined>): Child {
  const inherited = Object.entries(process.env).filter(([key]) => !/^VITEST|^NODE_ENV$|^TEST$/.test(key));
  const child = spawn(process.execPath, args, {
    env: { ...Object.fromEntries(inherited), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const firstLine = new Promise<string>((resolve) => {
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      stdout += text;
      const end = stdout.indexOf('\n');
      if (end >= 0) resolve(stdout.slice(0, end));
    });
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    pid: child.pid ?? 0,
    output: () => output,
    firstLine,
    exited,
    kill: (signal) => void child.kill(signal),
  };
}

/** Waits until no process and no folder of a server is left. */
export async function untilGone(server: ServerInfo): Promise<void> {
  for (const { name, pid, dataDir } of server.nodes) {
    await waitFor(() => !isAlive(pid ?? 0), { what: `${name} (${pid}) ends`, timeoutMs: 15_000 });
    const folder = dirname(dataDir ?? '');
    await waitFor(() => isMissing(folder), { what: `${folder} goes`, timeoutMs: 15_000 });
  }
}

/** Whether nothing exists at this path. */
export async function isMissing(path: string): Promise<boolean> {
  return access(path).then(
    () => false,
    () => true,
  );
}
