import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `npm start -- <sample>`: builds a sample and runs it: `stock`, which runs twice, and the others once, one of which calls
 * them.
 */
const samples = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
const sample = process.argv[2] ?? 'quickstart';

/** What a sample's `hints.ts` exports. */
interface Hints {
  /** What is told once everything runs: the calling app's URL, and the process of a stock that may be killed. */
  hints(url: string, stock: number | undefined): string;
  prepare?(): Promise<void>;
}

/** Waits until the calling app has found both stock processes; a while at most, for what it says then is of use too. */
async function foundBoth(url: string): Promise<void> {
  for (
    const until = Date.now() + 30_000;
    Date.now() < until;
    await new Promise((resolve) => setTimeout(resolve, 100))
  ) {
    const peers = await fetch(`${url}/peers`).catch(() => undefined);
    // Not every sample has this page, or as a list.
    const known: unknown = peers?.ok === true ? await peers.json() : undefined;
    if (peers === undefined || (Array.isArray(known) && known.length < 2)) continue;
    if (
      await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
  }
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function run(): Promise<void> {
  const folder = join(import.meta.dirname, sample);
  const nest = join(import.meta.dirname, '../node_modules/@nestjs/cli/bin/nest.js');
  execFileSync(process.execPath, [nest, 'build', sample], { cwd: join(folder, '../..'), stdio: 'inherit' });
  const { hints, prepare } = (await import(`./${sample}/src/hints.ts`)) as Hints;
  await prepare?.();

  const start = (name: string): ChildProcess => {
    const child = fork(join(folder, 'dist', name, 'main.js'), { stdio: 'inherit', execArgv: [] });
    child.once('exit', (code, signal) => say(`${name} ${child.pid} has ended (${signal ?? code})`));
    return child;
  };
  const others = readdirSync(join(folder, 'src')).filter((name) => !/\.ts$|^stock$/.test(name));
  const stock = start('stock');
  const children = [stock, start('stock'), ...others.map(start)];
  for (const child of children) {
    // The one that calls the others says where it is.
    child.once('message', (message) => {
      const { url } = message as { readonly url: string };
      void foundBoth(url).then(() => say(hints(url, stock.pid)));
    });
  }

  // The terminal sends Ctrl-C to the children too; whoever sends a signal to this process only means them as well.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      for (const child of children) child.kill('SIGTERM');
    });
  }
}

if (samples.includes(sample)) await run();
else {
  process.stderr.write(`which sample? ${samples.join(', ')}\n`);
  process.exitCode = 2;
}
