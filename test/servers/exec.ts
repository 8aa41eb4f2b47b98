import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { guardOfThisProcess } from './guard.js';
import { progress } from './progress.js';

/** Options of {@link run}. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** How often to try in all; networks fail. @default 1 */
  readonly attempts?: number;
}

/** Runs a program to its end and gives its stdout; a failure's message carries the end of what it printed. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await runOnce(command, args, options);
    } catch (error) {
      if (attempt >= (options.attempts ?? 1)) throw error;
      progress(`${basename(command)} ${args[0] ?? ''} failed, attempt ${attempt + 1} follows: ${lastLine(error)}`);
      await sleep(2_000 * attempt);
    }
  }
}

function lastLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().split('\n').at(-1) ?? '';
}

function runOnce(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let out = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      all = (all + text).slice(-8_000);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (all = (all + text).slice(-8_000)));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${signal ?? `code ${code}`}:\n${all.trim()}`));
    });
  });
}

/**
 * Runs something long, such as a build, as the guard's child: it ends when this process ends, even by SIGKILL. What it
 * prints goes to a file in its working folder, whose end is in a failure's message.
 */
export async function runGuarded(
  command: string,
  args: readonly string[],
  options: RunOptions & { cwd: string },
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const log = join(options.cwd, `.${basename(command)}.log`);
    const started = await guardOfThisProcess().spawn({
      command,
      args,
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
      log,
    });
    const { code, signal } = await started.waitForExit();
    if (code === 0) return;
    const text = (await readFile(log, 'utf8').catch(() => '')).slice(-8_000).trim();
    const error = new Error(`${command} ${args.join(' ')} ended with ${signal ?? `code ${code}`}:\n${text}`);
    if (attempt >= (options.attempts ?? 1)) throw error;
    progress(`${basename(command)} ${args[0] ?? ''} failed, attempt ${attempt + 1} follows: ${lastLine(error)}`);
    await sleep(2_000 * attempt);
  }
}

/** The full path of a program, if the machine has it; Debian's `sbin` folders are searched as well. */
export async function which(name: string): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const folder of folders.filter(Boolean)) {
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
