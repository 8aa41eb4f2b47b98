import { posix } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { FLOORS, NEST_ROOM_MAY, WING_MAY, WINGS } from './floors.js';
import { runOxlint } from './run-oxlint.js';

const RESTRICTED = 'eslint(no-restricted-imports)';

/** Every way in which people write an import of `path`. */
const STATEMENTS: Readonly<Record<string, (path: string) => string>> = {
  import: (path) => `import { x } from '${path}';\nexport const y = x;\n`,
  'import type': (path) => `import type { X } from '${path}';\nexport type Y = X;\n`,
  'import for its effect': (path) => `import '${path}';\n`,
  'export from': (path) => `export { x } from '${path}';\n`,
  'export *': (path) => `export * from '${path}';\n`,
  'import()': (path) => `export const load = (): Promise<unknown> => import('${path}');\n`,
};

/** Every way in which people write the way from the file `from` to the file `to`, both from the root. */
function spellings(from: string, to: string): string[] {
  const plain = posix.relative(posix.dirname(from), to).replace(/\.ts$/, '.js');
  const path = plain.startsWith('.') ? plain : `./${plain}`;
  const depth = posix.dirname(from).split('/').length;
  return [
    path,
    path.replace(/\.js$/, ''),
    path.replace(/\/index\.js$/, ''),
    path.replace(/\/index\.js$/, '/'),
    `./${path}`,
    `${'../'.repeat(depth)}${to.replace(/\.ts$/, '.js')}`,
    `./x/../${path}`,
    `../${posix.basename(posix.dirname(from))}/${path}`,
  ];
}

interface Fixture {
  readonly title: string;
  readonly path: string;
  readonly source: string;
  readonly rule: string | undefined;
}

const fixtures: Fixture[] = [];
let counter = 0;

/** A file in `folder` that must be reported (or not). */
function fixture(title: string, folder: string, source: string, rule: string | undefined): void {
  counter += 1;
  fixtures.push({ title, path: `${folder}/fixture${counter}.ts`, source, rule });
}

/** One file in `folder`, and one deeper, for each spelling of each import of `to`. */
function forbidden(folder: string, to: string): void {
  for (const place of [folder, `${folder}/deeper`]) {
    for (const path of new Set(spellings(`${place}/x.ts`, to))) {
      fixture(`${place} may not import ${path}`, place, statement('import', path), RESTRICTED);
    }
  }
  const [path = ''] = spellings(`${folder}/x.ts`, to);
  for (const kind of Object.keys(STATEMENTS)) {
    fixture(`${folder} may not ${kind} ${path}`, folder, statement(kind, path), RESTRICTED);
  }
}

function forbiddenPackage(folder: string, name: string): void {
  for (const kind of Object.keys(STATEMENTS)) {
    fixture(`${folder} may not ${kind} ${name}`, folder, statement(kind, name), RESTRICTED);
  }
}

function allowed(folder: string, paths: readonly string[]): void {
  const source = paths.map(
    (path, index) => `import { x${index} } from '${path}';\nexport const y${index} = x${index};\n`,
  );
  fixture(`${folder} may import ${paths.join(', ')}`, folder, source.join(''), undefined);
}

function statement(kind: string, path: string): string {
  return STATEMENTS[kind]?.(path) ?? '';
}

const RX = { banned: ['model', 'backend', 'observability', 'balancing'] };

for (const [floor, may] of Object.entries(FLOORS)) {
  const folder = `lib/${floor}`;
  for (const other of Object.keys(FLOORS)) {
    if (other !== floor && !may.includes(other)) forbidden(folder, `lib/${other}/index.ts`);
  }
  for (const wing of WINGS)
    if (floor !== 'nest' || wing !== 'local') forbidden(folder, `lib/backends/${wing}/index.ts`);
  forbidden(folder, 'lib/testing/index.ts');
  forbidden(folder, 'lib/index.ts');
  forbidden(folder, 'lib/backends/eureka/eureka.client.ts');
  forbiddenPackage(folder, 'nestjs-service-discovery');
  forbiddenPackage(folder, 'nestjs-service-discovery/local');
  if (floor !== 'nest')
    for (const name of ['common', 'core', 'platform-express']) forbiddenPackage(folder, `@nestjs/${name}`);
  if (RX.banned.includes(floor)) for (const name of ['rxjs', 'rxjs/operators']) forbiddenPackage(folder, name);
  allowed(folder, [
    ...may.map((other) => `../${other}/index.js`),
    './neighbour.js',
    './deeper/room.js',
    // Names that begin or end like a floor's.
    './config.js',
    './http/nest.js',
    ...(floor === 'model' ? [] : ['node:fs', 'undici', 'http-proxy', 'config']),
    ...(floor === 'nest' ? ['@nestjs/common', 'rxjs', '../backends/local/index.js'] : []),
  ]);
  allowed(`${folder}/deeper`, [...may.map((other) => `../../${other}/index.js`), '../neighbour.js', '../deep/x.js']);
}
for (const name of ['node:fs', 'fs', 'undici', 'axios', '@scope/x', '#internal']) forbiddenPackage('lib/model', name);
for (const file of ['local.options.ts', 'local.store.ts', 'nest/index.ts', 'deep/index.ts']) {
  forbidden('lib/nest', `lib/backends/local/${file}`);
}
for (const path of ['../backends', '../backends/index.js']) {
  fixture(`lib/nest may not import ${path}`, 'lib/nest', statement('import', path), RESTRICTED);
}

for (const wing of WINGS) {
  const folder = `lib/backends/${wing}`;
  const room = `${folder}/nest`;
  for (const floor of Object.keys(FLOORS)) {
    if (!(WING_MAY as readonly string[]).includes(floor)) forbidden(folder, `lib/${floor}/index.ts`);
    if (!(NEST_ROOM_MAY as readonly string[]).includes(floor)) forbidden(room, `lib/${floor}/index.ts`);
  }
  for (const place of [folder, room]) {
    for (const other of WINGS) if (other !== wing) forbidden(place, `lib/backends/${other}/index.ts`);
    forbidden(place, 'lib/testing/index.ts');
    forbidden(place, 'lib/index.ts');
    forbiddenPackage(place, 'nestjs-service-discovery');
  }
  for (const name of ['@nestjs/common', '@nestjs/core', 'rxjs']) forbiddenPackage(folder, name);
  // The rest of a wing doesn't know its nest/ room.
  fixture(`${folder} may not import its nest/ room`, folder, statement('import', './nest/index.js'), RESTRICTED);
  allowed(folder, [
    '../../model/index.js',
    '../../backend/index.js',
    `./${wing}.client.js`,
    './deeper/index.js',
    'node:net',
    'undici',
    // A wing's own library may be called as a wing is.
    ...(wing === 'local' ? [] : [wing, `@vendor/${wing}`]),
  ]);
  allowed(`${folder}/deeper`, ['../../../model/index.js', '../../../backend/index.js', `../${wing}.client.js`]);
  allowed(room, ['../../../nest/index.js', '../../../backend/index.js', '../index.js', '@nestjs/common', 'rxjs']);
}

for (const path of [
  './testing/index.js',
  './backends/consul/index.js',
  './backends/nats',
  './backends/local/local.store.js',
]) {
  fixtures.push({
    title: `lib/index.ts may not import ${path}`,
    path: 'lib/index.ts',
    source: statement('export *', path),
    rule: RESTRICTED,
  });
}
for (const name of ['nestjs-service-discovery', 'nestjs-service-discovery/testing'])
  forbiddenPackage('lib/testing', name);
allowed('lib/testing', ['../index.js', '../nest/index.js', '../backends/nats/index.js', '@nestjs/testing', 'rxjs']);

const other = (title: string, folder: string, source: string, rule: string | undefined): void =>
  fixture(title, folder, source, rule);
other('any', 'lib/http', 'export const a = (x: any): void => void x;\n', 'typescript(no-explicit-any)');
other('console', 'lib/http', "console.log('x');\n", 'eslint(no-console)');
other(
  'a non-null assertion',
  'lib/http',
  'export const f = (x?: string): string => x!;\n',
  'typescript(no-non-null-assertion)',
);
other('==', 'lib/http', 'export const f = (x: unknown): boolean => x == 1;\n', 'eslint(eqeqeq)');
other('@ts-ignore', 'lib/http', '// @ts-ignore\nexport const x: number = 1;\n', 'typescript(ban-ts-comment)');
other('a file of 401 lines', 'lib/http', 'export {};\n'.repeat(401), 'eslint(max-lines)');
other(
  'require()',
  'lib/http',
  "export const x: unknown = require('../nest/index.js');\n",
  'typescript(no-require-imports)',
);
other(
  'import = require()',
  'lib/http',
  "import x = require('../nest/index.js');\nexport { x };\n",
  'typescript(no-require-imports)',
);
other('a test of 401 lines', 'test/unit', 'export const x = 1;\n' + '// x\n'.repeat(400), undefined);
other(
  'a test that imports anything',
  'test/unit',
  "import { x } from '../../lib/nest/index.js';\nexport const y = x;\n",
  undefined,
);

describe('the import floors', () => {
  let broken = new Map<string, string[]>();
  beforeAll(async () => {
    const last = new Map<string, string>();
    // `lib/index.ts` is one path with several contents: linted one after the other.
    const singles = fixtures.filter((one) => one.path === 'lib/index.ts');
    for (const one of fixtures) if (one.path !== 'lib/index.ts') last.set(one.path, one.source);
    broken = await runOxlint(last);
    for (const one of singles) {
      const [result] = (await runOxlint(new Map([[one.path, one.source]]))).values();
      broken.set(one.title, result ?? []);
    }
    broken.set('lib/index.ts', (await runOxlint(new Map([['lib/index.ts', FRONT_DOOR]]))).get('lib/index.ts') ?? []);
  });

  const resultOf = (one: Fixture): readonly string[] =>
    broken.get(one.path === 'lib/index.ts' ? one.title : one.path) ?? [];

  it('reports every forbidden import, however it is written', () => {
    const missed = fixtures.filter((one) => one.rule !== undefined && !resultOf(one).includes(one.rule));
    expect(missed.map((one) => `${one.title}: ${one.rule ?? ''}`)).toEqual([]);
    expect(fixtures.filter((one) => one.rule === RESTRICTED).length).toBeGreaterThan(1000);
  });

  it('reports nothing that is allowed', () => {
    const wrong = fixtures.filter((one) => one.rule === undefined && resultOf(one).length > 0);
    expect(wrong.map((one) => `${one.title}: ${resultOf(one).join(', ')}\n${one.source}`)).toEqual([]);
    expect(fixtures.filter((one) => one.rule === undefined).length).toBeGreaterThan(30);
  });

  it('lets the front door name the floors and the default backend', () => {
    expect(broken.get('lib/index.ts')).toEqual([]);
  });
});

const FRONT_DOOR = [...Object.keys(FLOORS), 'backends/local']
  .map((room) => `export * from './${room}/index.js';\n`)
  .join('');
