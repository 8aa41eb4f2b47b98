import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Which Nest the app is on: 12 as ECMAScript modules, 11 as CommonJS. */
export type Nest = 11 | 12;

/** What a trial works with. */
export interface Workshop {
  /** The folder of the app, with its sources in `src`. */
  readonly app: string;
  /** The folder of what tsc makes of it, with decorators and the types that Nest reads. */
  compiled(): Promise<string>;
  /** Runs a program that the app has installed to its end. */
  tool(name: string, ...args: string[]): Promise<void>;
  /** Moves a file or folder of the app to where there is nothing else, no `node_modules` above all; gives its new place. */
  alone(path: string): Promise<string>;
}

/** How the app is started. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** @default the app's folder */
  readonly cwd?: string;
}

export interface Trial {
  readonly name: string;
  readonly nest: Nest;
  /** What is installed beside the app's own packages. */
  readonly tools: Readonly<Record<string, string>>;
  /** Installs in a folder of the trial's own; without it npm does so in one for all trials on that Nest. */
  readonly install?: (workshop: Workshop) => Promise<unknown>;
  readonly build: (workshop: Workshop) => Promise<Command>;
}

const node = process.execPath;

/** What Nest asks for in vain where an app doesn't use it; every bundle of a Nest app leaves these out. */
const UNUSED = ['@nestjs/microservices', '@nestjs/websockets', 'class-transformer', 'class-validator'];

const esbuild = (nest: Nest, minified: boolean): Trial => ({
  name: `esbuild${minified ? ', minified' : ''}, Nest ${nest}`,
  nest,
  tools: { esbuild: '^0.28.0' },
  async build(workshop) {
    const isModule = nest === 12;
    const file = `esbuild${minified ? '.min' : ''}.${isModule ? 'mjs' : 'cjs'}`;
    // CommonJS packages in a bundle of ECMAScript modules ask for Node's own by `require`.
    const banner =
      'import { createRequire as forBundled } from "node:module"; const require = forBundled(import.meta.url);';
    await workshop.tool(
      'esbuild',
      join(await workshop.compiled(), 'main.js'),
      ...['--bundle', '--platform=node', '--target=node20', `--outfile=${file}`],
      ...(isModule ? ['--format=esm', `--banner:js=${banner}`] : ['--format=cjs']),
      ...(minified ? ['--minify'] : []),
      ...UNUSED.map((name) => `--external:${name}`),
    );
    return { program: node, args: [await workshop.alone(file)] };
  },
});

const webpack = (nest: Nest): Trial => ({
  name: `webpack, minified, Nest ${nest}`,
  nest,
  tools: { webpack: '^5.100.0', 'webpack-cli': '^7.0.0' },
  async build(workshop) {
    const output = { path: join(workshop.app, 'packed') };
    const modules = { experiments: { outputModule: true }, output: { ...output, filename: 'main.mjs', module: true } };
    const config = {
      mode: 'production',
      target: 'node20',
      entry: join(await workshop.compiled(), 'main.js'),
      ...(nest === 12 ? modules : { output: { ...output, filename: 'main.cjs' } }),
      externalsType: nest === 12 ? 'import' : 'commonjs',
    };
    const externals = `[${UNUSED.map((name) => `/^${name.replace('/', String.raw`\/`)}(\\/|$)/`).join()}]`;
    await writeFile(
      join(workshop.app, 'webpack.config.cjs'),
      `module.exports = { ...${JSON.stringify(config)}, externals: ${externals} };`,
    );
    await workshop.tool('webpack', '--config', 'webpack.config.cjs');
    return { program: node, args: [join(await workshop.alone('packed'), nest === 12 ? 'main.mjs' : 'main.cjs')] };
  },
});

const swc = (nest: Nest): Trial => ({
  name: `nest build -b swc, Nest ${nest}`,
  nest,
  tools: { '@nestjs/cli': `^${nest}.0.0`, '@swc/cli': '^0.8.0', '@swc/core': '^1.10.0' },
  async build(workshop) {
    await writeFile(join(workshop.app, 'nest-cli.json'), '{ "sourceRoot": "src" }');
    await workshop.tool('nest', 'build', '-b', 'swc');
    // Nest 11's command line puts the sources' folder into it.
    return { program: node, args: [nest === 12 ? 'dist/main.js' : 'dist/src/main.js'] };
  },
});

/** The builder that `@nx/nest` gives an app: webpack with Nx's plugin and its options, by `nx build`. */
const nx: Trial = {
  name: 'nx build with the webpack of its Nest preset, Nest 11',
  nest: 11,
  tools: { ...{ nx: '~23.2.0', '@nx/webpack': '~23.2.0', '@nx/js': '~23.2.0' }, ...{ 'webpack-cli': '^7.0.0' } },
  install: async ({ tool }) => tool('npm', 'install', '--no-audit', '--no-fund', '--legacy-peer-deps'),
  async build(workshop) {
    await writeFile(
      join(workshop.app, 'nx.json'),
      '{ "neverConnectToCloud": true, "plugins": ["@nx/webpack/plugin"] }',
    );
    await writeFile(join(workshop.app, 'project.json'), '{ "name": "shop", "root": ".", "sourceRoot": "src" }');
    await writeFile(
      join(workshop.app, 'webpack.config.js'),
      `const { NxAppWebpackPlugin } = require('@nx/webpack/app-plugin');
module.exports = {
  output: { path: require('node:path').join(__dirname, 'dist') },
  plugins: [
    new NxAppWebpackPlugin({
      target: 'node', compiler: 'tsc', main: './src/main.ts', tsConfig: './tsconfig.json',
      optimization: false, outputHashing: 'none', generatePackageJson: true, sourceMap: true,
    }),
  ],
};`,
    );
    await workshop.tool('nx', 'build', 'shop', '--skip-nx-cache');
    return { program: node, args: ['dist/main.js'] };
  },
};

/** Nothing is found that the package doesn't declare, and no peer is installed that the app doesn't. */
const pnpm: Trial = {
  name: 'pnpm, strict, Nest 12',
  nest: 12,
  tools: {},
  async install({ app, tool }) {
    const strict = ['node-linker=isolated', 'hoist=false', 'strict-peer-dependencies=true', 'auto-install-peers=false'];
    await writeFile(join(app, '.npmrc'), strict.join('\n'));
    await tool('npx', '--yes', 'pnpm@10', 'install', '--no-frozen-lockfile');
  },
  build: async ({ compiled }) => ({ program: node, args: [join(await compiled(), 'main.js')] }),
};

const YARN = ['--yes', '--package', '@yarnpkg/cli-dist@4', 'yarn'];

/** No `node_modules` at all: Yarn's loader finds packages in their archives, those alone that are declared. */
const yarn: Trial = {
  name: "Yarn's Plug'n'Play, Nest 12",
  nest: 12,
  tools: {},
  async install({ app, tool }) {
    await writeFile(join(app, '.yarnrc.yml'), 'nodeLinker: pnp\nenableGlobalCache: false\nenableTelemetry: false\n');
    await tool('npx', ...YARN, 'install', '--no-immutable');
  },
  async build({ app, tool }) {
    // Nest's own declarations name a package that it doesn't declare.
    await tool('npx', ...YARN, 'tsc', '-p', 'tsconfig.json', '--skipLibCheck');
    const loader = ['--require', join(app, '.pnp.cjs'), '--experimental-loader', join(app, '.pnp.loader.mjs')];
    return { program: node, args: [...loader, 'dist/main.js'] };
  },
};

const deno: Trial = {
  name: 'Deno 2, Nest 12',
  nest: 12,
  tools: { deno: '^2.0.0' },
  build: async ({ app, compiled }) => ({
    program: join(app, 'node_modules/.bin/deno'),
    args: ['run', '--allow-all', join(await compiled(), 'main.js')],
  }),
};

const bun = (what: string, nest: Nest, file: (workshop: Workshop) => string | Promise<string>): Trial => ({
  name: `Bun, ${what}, Nest ${nest}`,
  nest,
  tools: { bun: '^1.3.0' },
  build: async (workshop) => ({
    program: join(workshop.app, 'node_modules/.bin/bun'),
    args: [await file(workshop)],
  }),
});

const compiledMain = async ({ compiled }: Workshop): Promise<string> => join(await compiled(), 'main.js');

/** All that is tried, in the order in which it is. */
export const TRIALS: readonly Trial[] = [
  ...([12, 11] as const).flatMap((nest) => [esbuild(nest, false), esbuild(nest, true), webpack(nest), swc(nest)]),
  nx,
  pnpm,
  yarn,
  deno,
  bun('compiled', 12, compiledMain),
  bun('from TypeScript', 12, () => 'src/main.ts'),
  bun('compiled', 11, compiledMain),
];
