import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { packTarball } from '../package/tarball.js';
import { run } from '../servers/exec.js';
import { TRIALS, type Nest, type Trial, type Workshop } from './trials.js';

/**
 * `npm run bundlers`: the packed tarball in the hands of each bundler, builder, package manager and runtime that the README
 * names. Each builds or runs the same small app on the local backend, which must register, find, call, read configuration
 * and end by itself. What was bundled runs in a folder that has nothing else. Weekly and before a release.
 */
const usage = `Usage: npm run bundlers [-- <word>…]

  Without a word all; with words those whose name has one of them:
${TRIALS.map(({ name }) => `    ${name}`).join('\n')}
`;

const root = join(import.meta.dirname, '../..');

/** What the app must say, whoever built or runs it. Names of errors stay what they are in minified code too. */
const EXPECTED = {
  called: { limit: 5 },
  found: { services: ['SHOP'], instances: 1 },
  refused: ['NoInstanceError', 'NO_INSTANCE'],
};

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** A folder with the app's sources and a manifest that has the tarball; nothing is installed yet. */
async function prepare(
  app: string,
  tarball: string,
  nest: Nest,
  tools: Readonly<Record<string, string>>,
): Promise<void> {
  await cp(join(root, 'test/e2e/apps', nest === 12 ? 'nest-12-esm' : 'nest-11-cjs'), app, { recursive: true });
  await rm(join(app, 'src'), { recursive: true });
  await cp(join(import.meta.dirname, 'app'), join(app, 'src'), { recursive: true });
  const manifest = JSON.parse(await readFile(join(app, 'package.json'), 'utf8')) as Manifest;
  const dependencies = { ...manifest.dependencies, 'nestjs-service-discovery': `file:${tarball}` };
  const devDependencies = { ...manifest.devDependencies, ...tools };
  await writeFile(join(app, 'package.json'), JSON.stringify({ ...manifest, dependencies, devDependencies }));
}

/** The workshop in an app's folder; each call of it is one trial's. */
function workshopIn(app: string): Workshop {
  const path = [join(app, 'node_modules/.bin'), process.env['PATH']].join(delimiter);
  let compiled: Promise<string> | undefined;
  const workshop: Workshop = {
    app,
    async tool(name, ...args) {
      await run(name, args, { cwd: app, env: { PATH: path } });
    },
    compiled: () =>
      (compiled ??= workshop
        .tool('tsc', '-p', 'tsconfig.json', '--outDir', 'compiled', '--skipLibCheck')
        .then(() => join(app, 'compiled'))),
    async alone(built) {
      const empty = await mkdtemp(`${app}-alone-`);
      await rename(join(app, built), join(empty, basename(built)));
      return join(empty, basename(built));
    },
  };
  return workshop;
}

/** Gives each trial the workshop where its app is installed. */
class Workshops {
  private readonly shared = new Map<Nest, Promise<Workshop>>();

  constructor(
    private readonly home: string,
    private readonly tarball: string,
    private readonly wanted: readonly Trial[],
  ) {}

  for(trial: Trial): Promise<Workshop> {
    const { install, nest, name, tools } = trial;
    if (install !== undefined) return this.open(`own-${this.wanted.indexOf(trial)}`, nest, tools, install);
    const all = this.wanted.filter((other) => other.nest === nest && other.install === undefined);
    const opened =
      this.shared.get(nest) ??
      this.open(`nest-${nest}`, nest, Object.assign({}, ...all.map((one) => one.tools)) as typeof tools, ({ tool }) =>
        tool('npm', 'install', '--no-audit', '--no-fund'),
      );
    this.shared.set(nest, opened);
    return opened.catch((error: unknown) => {
      throw new Error(`what ${name} needs could not be installed`, { cause: error });
    });
  }

  private async open(
    folder: string,
    nest: Nest,
    tools: Readonly<Record<string, string>>,
    install: (workshop: Workshop) => Promise<unknown>,
  ): Promise<Workshop> {
    const app = join(this.home, folder);
    await prepare(app, this.tarball, nest, tools);
    const workshop = workshopIn(app);
    await install(workshop);
    return workshop;
  }
}

/** Builds and runs one; throws where what the app says is other than it should be. */
async function attempt(trial: Trial, workshop: Workshop, state: string): Promise<void> {
  const [REGISTRY_DIRECTORY, CONFIG_DIRECTORY] = [join(state, 'registry'), join(state, 'config')];
  await mkdir(CONFIG_DIRECTORY, { recursive: true });
  await writeFile(join(CONFIG_DIRECTORY, 'application.yaml'), 'limit: 5\n');
  const { program, args, cwd = workshop.app } = await trial.build(workshop);
  const said = await run(program, args, { cwd, env: { REGISTRY_DIRECTORY, CONFIG_DIRECTORY } });
  const told: unknown = JSON.parse(said.trim().split('\n').at(-1) ?? '');
  if (!isDeepStrictEqual(told, EXPECTED)) throw new Error(`it says ${JSON.stringify(told)}`);
}

const textOf = (error: unknown): string =>
  error instanceof Error
    ? [error.message, ...(error.cause === undefined ? [] : [textOf(error.cause)])].join('\n')
    : String(error);

const { positionals: words } = parseArgs({ allowPositionals: true });
const wanted = TRIALS.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));

// npm's own variables of this run would lead the inner one astray, and so would another Node's options.
for (const name of Object.keys(process.env))
  if (/^(npm_|NODE_(ENV|OPTIONS|PATH)$)/.test(name)) delete process.env[name];

if (wanted.length === 0) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  const home = await mkdtemp(join(tmpdir(), 'nsd-bundlers-'));
  try {
    const { path: tarball } = await packTarball(home);
    const workshops = new Workshops(home, tarball, wanted);
    for (const [index, trial] of wanted.entries()) {
      try {
        await attempt(trial, await workshops.for(trial), join(home, `state-${index}`));
        process.stdout.write(`green  ${trial.name}\n`);
      } catch (error) {
        process.stdout.write(`RED    ${trial.name}\n${textOf(error)}\n`);
        process.exitCode = 1;
      }
    }
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
