import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rollup, type OutputOptions, type RollupOutput } from 'rollup';

/**
 * The build's second step: from tsc's modules in dist/esm it makes a file for each of the package's entries and what several
 * of them share, as ECMAScript and as CommonJS modules. Node finds, reads and links some three hundred files in a hundred
 * milliseconds, and these few in a fifth of that; an installation holds them twice.
 */
const root = fileURLToPath(new URL('../', import.meta.url));
const esm = join(root, 'dist/esm');
const cjs = join(root, 'dist/cjs');

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly import: { readonly default: string } }>>;
}

/** The modules that somebody outside loads, by their path in dist/esm without its ending. */
function entries(): Record<string, string> {
  const { bin, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const paths = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.import.default]));
  return Object.fromEntries(
    [...paths, ...Object.values(bin)].map((path) => {
      const file = join(root, path);
      return [relative(esm, file).replace(/\.js$/, ''), file];
    }),
  );
}

/** The files below a folder whose names end so. */
function filesIn(folder: string, ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(ending));
}

/** A class that shares its file with one of the same name is given another, and people meet it in errors, logs and graphs. */
function refuseRenamedClasses({ output }: RollupOutput): void {
  for (const file of output) {
    if (file.type !== 'chunk') continue;
    const renamed = /\bclass (\w+\$\d+)/.exec(file.code);
    if (renamed !== null) throw new Error(`${file.fileName}: two classes share the name of ${renamed[1] ?? ''}`);
  }
}

function write(folder: string, { output }: RollupOutput): void {
  for (const file of output) {
    const path = join(folder, file.fileName);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, file.type === 'chunk' ? file.code : file.source);
  }
}

const bundle = await rollup({
  input: entries(),
  external: (id) => !id.startsWith('.') && !id.startsWith('/'),
  onwarn(warning) {
    // The helpers that tsc writes into each file ask for them outside first.
    if (warning.code !== 'THIS_IS_UNDEFINED') throw new Error(warning.message, { cause: warning });
  },
});
const shared: OutputOptions = {
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name].js',
  // What an entry loads is what it uses.
  hoistTransitiveImports: false,
  minifyInternalExports: false,
};
const modules = await bundle.generate({ ...shared, format: 'es' });
// `require` of what is asked for later, as tsc does: jest's CommonJS has no other import.
const commonjs = await bundle.generate({
  ...shared,
  ...{ format: 'cjs', interop: 'auto', exports: 'named', esModule: true, dynamicImportInCjs: false },
});
await bundle.close();
refuseRenamedClasses(modules);
refuseRenamedClasses(commonjs);

for (const name of filesIn(esm, '.js')) rmSync(join(esm, name));
write(esm, modules);
write(cjs, commonjs);
// One declaration says the same of both.
for (const name of filesIn(esm, '.d.ts')) cpSync(join(esm, name), join(cjs, name));
writeFileSync(join(cjs, 'package.json'), JSON.stringify({ type: 'commonjs' }));
