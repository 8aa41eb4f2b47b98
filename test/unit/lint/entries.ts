import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const MANIFEST = `${root}package.json`;

/** Which rooms of lib/ are entries of the package, when they have an `index.ts`. */
const ENTRY = /^(|backend|testing(\/contract)?|backends\/[^/]+(\/nest)?|integrations\/[^/]+)$/;

/** The package's entries, as `./nats/nest`, and the room of lib/ that each is. */
export function entries(): Map<string, string> {
  const rooms = readdirSync(`${root}lib`, { recursive: true, encoding: 'utf8' })
    .map((file) => posix.join('/', file.replaceAll('\\', '/')))
    .filter((file) => posix.basename(file) === 'index.ts')
    .map((file) => posix.dirname(file).slice(1))
    .filter((room) => ENTRY.test(room))
    .toSorted();
  return new Map(rooms.map((room) => [nameOf(room), room]));
}

const nameOf = (room: string): string => (room === '' ? '.' : `./${room.replace(/^(backends|integrations)\//, '')}`);

/**
 * What package.json must say of the entries. `module-sync` and `import` give ES modules, `require` CommonJS, each with
 * its own types; `typesVersions` is for TypeScript's classic resolution, which knows no `exports`.
 */
export function manifestOf(all: ReadonlyMap<string, string>): { exports: object; typesVersions: object } {
  const file = (format: string, room: string, name: string): string =>
    ['./dist', format, ...(room === '' ? [] : [room]), name].join('/');
  const condition = (format: string, room: string): object => ({
    types: file(format, room, 'index.d.ts'),
    default: file(format, room, 'index.js'),
  });
  const exported = [...all].map(([entry, room]) => [
    entry,
    { 'module-sync': condition('esm', room), import: condition('esm', room), require: condition('cjs', room) },
  ]);
  const classic = [...all].filter(([entry]) => entry !== '.');
  return {
    exports: { ...Object.fromEntries(exported), './package.json': './package.json' },
    typesVersions: {
      '*': Object.fromEntries(classic.map(([entry, room]) => [entry.slice(2), [file('cjs', room, 'index.d.ts')]])),
    },
  };
}

export function readManifest(): Record<string, unknown> {
  return JSON.parse(readFileSync(MANIFEST, 'utf8')) as Record<string, unknown>;
}

// `npm run entries` writes package.json; the test only compares.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(MANIFEST, `${JSON.stringify({ ...readManifest(), ...manifestOf(entries()) }, undefined, 2)}\n`);
}
