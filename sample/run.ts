import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `npm start -- <sample>`: builds a sample and runs it: `stock`, which runs twice, and the others once, one of which calls
 * them; or what its `play.ts` does with them. With `--built` it takes what is in `dist` already.
 */
const samples = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
const sample = process.argv[2] ?? 'quickstart';

/** What a sample's `hints.ts` exports. */
interface Hints {
  /** What is told once everything runs: the calling app's URL, and the process of a stock that may be killed. */
  hints(url: string, stock: number | undefined): string;
  /** Before the apps start; a process that it gives ends with them. */
  prepare?(): Promise<ChildProcess | undefined | void>;
}

/** What a sample's `play.ts` exports: it starts and stops the apps by itself, and ends. */
interface Play {
  play(
    start: (
      app: string,
      environment?: Readonly<Record<string, string>>,
    ) => Promise<{ readonly url: string; stop(): Promise<void> }>,
  ): Promise<void>;
}

/**
 * Waits until the calling app has found both stock processes, and they what they call themselves; a while at most, for
 * what it says then is of use too.
 */
async function foundBoth(url: string): Promise<void> {
  const isAnswered = (): Promise<boolean> =>
    fetch(url).then(
      async (response) => {
        await response.text();
        return response.ok;
      },
      () => false,
    );
  for (
    const until = Date.now() + 30_000;
    Date.now() < until;
    await new Promise((resolve) => setTimeout(resolve, 100))
  ) {
    const peers = await fetch(`${url}/peers`).catch(() => undefined);
    // Not every sample has this page, or as a list.
    const known: unknown = peers?.ok === true ? await peers.json() : undefined;
    if (peers === undefined || (Array.isArray(known) && known.length < 2)) continue;
    // Some in a row, so that each of the two has answered.
    let answered = 0;
    while (answered < 4 && (await isAnswered())) answered += 1;
    if (answered === 4) return;
  }
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const folder = join(import.meta.dirname, sample);
const children: ChildProcess[] = [];

function start(name: string, environment: Readonly<Record<string, string>> = {}): ChildProcess {
  const child = fork(join(folder, 'dist', name, 'main.js'), {
    stdio: 'inherit',
    execArgv: [],
    env: { ...process.env, ...environment },
  });
  children.push(child);
  return child;
}

const ended = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once('exit', resolve));

/** Starts one and waits until it says where it is. */
async function startListening(name: string, environment?: Readonly<Record<string, string>>) {
  const child = start(name, environment);
  const over = ended(child);
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { readonly url: string }).url));
    void over.then((code) => reject(new Error(`${name} has ended (${String(code)})`)));
  });
  return {
    url,
    stop: async (): Promise<void> => {
      child.kill('SIGTERM');
      await over;
    },
  };
}

async function startAll(): Promise<void> {
  const { hints, prepare } = (await import(`./${sample}/src/hints.ts`)) as Hints;
  const prepared = await prepare?.();
  if (prepared) {
    children.push(prepared);
    prepared.once('exit', (code, signal) => say(`${prepared.spawnfile} ${prepared.pid} has ended (${signal ?? code})`));
  }
  const others = readdirSync(join(folder, 'src')).filter((name) => !/\.ts$|^stock$/.test(name));
  const names = ['stock', 'stock', ...others];
  const apps = names.map((name) => start(name));
  const [stock] = apps;
  for (const [index, child] of apps.entries()) {
    child.once('exit', (code, signal) => say(`${names[index]} ${child.pid} has ended (${signal ?? code})`));
    // The one that calls the others says where it is.
    child.once('message', (message) => {
      const { url } = message as { readonly url: string };
      void foundBoth(url).then(() => say(hints(url, stock?.pid)));
    });
  }
}

async function run(): Promise<void> {
  if (!process.argv.includes('--built')) {
    const nest = join(import.meta.dirname, '../node_modules/@nestjs/cli/bin/nest.js');
    execFileSync(process.execPath, [nest, 'build', sample], { cwd: join(folder, '../..'), stdio: 'inherit' });
  }
  // The terminal sends Ctrl-C to the children too; whoever sends a signal to this process only means them as well.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      for (const child of children) child.kill('SIGTERM');
    });
  }
  if (!existsSync(join(folder, 'src/play.ts'))) await startAll();
  else {
    try {
      await ((await import(`./${sample}/src/play.ts`)) as Play).play(startListening);
    } catch (error) {
      for (const child of children) child.kill('SIGTERM');
      throw error;
    }
  }
}

if (samples.includes(sample)) await run();
else {
  process.stderr.write(`which sample? ${samples.join(', ')}\n`);
  process.exitCode = 2;
}
