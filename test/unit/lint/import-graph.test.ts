import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { circlesOf, edgesAgainst, HOUSE } from './floors.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

const files = new Map(
  readdirSync(`${root}lib`, { recursive: true, encoding: 'utf8' })
    .map((file) => `lib/${file.replaceAll('\\', '/')}`)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => [file, readFileSync(root + file, 'utf8')]),
);

/** Every way in which people write an import of `path`. */
const STATEMENTS: Readonly<Record<string, (path: string) => string>> = {
  import: (path) => `import { x } from '${path}';`,
  'import type': (path) => `import type { X } from "${path}";`,
  'import for its effect': (path) => `import '${path}';`,
  'import = require()': (path) => `import x = require('${path}');`,
  'export from': (path) => `export { x } from '${path}';`,
  'export type from': (path) => `export type { X } from '${path}';`,
  'export *': (path) => `export * from '${path}';`,
  'export * as': (path) => `export * as x from '${path}';`,
  'import()': (path) => `export const load = () => import('${path}');`,
  'import() of a template': (path) => `export const load = () => import(\`${path}\`);`,
  'import() in a type': (path) => `export type X = import('${path}').X;`,
  'declare module': (path) => `declare module '${path}' { interface X {} }`,
  'require()': (path) => `const x = require('${path}');`,
  'a reference': (path) => `/// <reference path="${path}" />`,
};

/** Every way in which people write the way from the file `from` to the file `to`, both from the root. */
function spellings(from: string, to: string): string[] {
  const plain = posix.relative(posix.dirname(from), to).replace(/\.ts$/, '.js');
  const path = plain.startsWith('.') ? plain : `./${plain}`;
  const depth = posix.dirname(from).split('/').length;
  return [
    path,
    path.replace(/\.js$/, ''),
    path.replace(/\.js$/, '.ts'),
    path.replace(/\/index\.js$/, ''),
    path.replace(/\/index\.js$/, '/'),
    `./${path}`,
    `${'../'.repeat(depth)}${to.replace(/\.ts$/, '.js')}`,
    `./x/../${path}`,
    `../${posix.basename(posix.dirname(from))}/${path}`,
  ];
}

/** The files that nobody but `testing` may import from a floor below, and one that isn't there yet. */
const ENTRIES = ['backends/nats', 'backends/nats/nest', 'integrations/terminus', 'testing', 'nest'];

describe('the import graph of lib/', () => {
  it('has no edge against the floors', () => {
    expect(files.size).toBeGreaterThan(300);
    expect(edgesAgainst(files)).toEqual([]);
  });

  it('has no circle', () => {
    expect(circlesOf(files)).toEqual([]);
  });
});

describe('the floors', () => {
  const WRONG: readonly (readonly [from: string, to: string])[] = [
    ...[
      'model',
      'backend/port',
      'backend/machinery',
      'backend/driver',
      'balancing',
      'discovery',
      'config',
      'http',
    ].flatMap((floor) =>
      [...ENTRIES, '.'].map((entry) => [`lib/${floor}/x.ts`, posix.join('lib', entry, 'index.ts')] as const),
    ),
    ['lib/model/x.ts', 'lib/backend/port/index.ts'],
    ['lib/backend/port/x.ts', 'lib/backend/machinery/backoff.ts'],
    ['lib/backend/machinery/x.ts', 'lib/backend/driver/index.ts'],
    ['lib/backend/machinery/x.ts', 'lib/backend/index.ts'],
    ['lib/backend/index.ts', 'lib/observability/index.ts'],
    ['lib/observability/x.ts', 'lib/balancing/index.ts'],
    ['lib/balancing/deeper/x.ts', 'lib/discovery/index.ts'],
    ['lib/discovery/x.ts', 'lib/backends/local/index.ts'],
    ['lib/http/x.ts', 'lib/config/index.ts'],
    ['lib/config/x.ts', 'lib/registration/index.ts'],
    ['lib/registration/x.ts', 'lib/http/index.ts'],
    ['lib/nest/x.ts', 'lib/backends/local/local.options.ts'],
    ['lib/nest/x.ts', 'lib/backends/nats/index.ts'],
    ['lib/nest/x.ts', 'lib/integrations/terminus/index.ts'],
    ['lib/nest/x.ts', 'lib/index.ts'],
    ['lib/backends/nats/x.ts', 'lib/backends/nacos/index.ts'],
    ['lib/backends/nats/x.ts', 'lib/backends/nats/nest/index.ts'],
    ['lib/backends/nats/deeper/x.ts', 'lib/backends/nats/nest/params.ts'],
    ['lib/backends/nats/x.ts', 'lib/nest/index.ts'],
    ['lib/backends/nats/x.ts', 'lib/observability/index.ts'],
    ['lib/backends/nats/nest/x.ts', 'lib/config/index.ts'],
    ['lib/backends/nats/nest/x.ts', 'lib/backends/consul/nest/index.ts'],
    ['lib/backends/nats/nest/x.ts', 'lib/backends/consul/index.ts'],
    ['lib/backends/dns/x.ts', 'lib/backends/consul/index.ts'],
    ['lib/integrations/terminus/x.ts', 'lib/integrations/cli/index.ts'],
    ['lib/integrations/cli/x.ts', 'lib/backends/nats/index.ts'],
    ['lib/integrations/cli/x.ts', 'lib/index.ts'],
    ['lib/index.ts', 'lib/testing/index.ts'],
    ['lib/index.ts', 'lib/backends/consul/index.ts'],
    ['lib/index.ts', 'lib/backends/local/local.options.ts'],
    ['lib/index.ts', 'lib/integrations/terminus/index.ts'],
    ['lib/newcomer/x.ts', 'lib/model/index.ts'],
  ];

  it.each(WRONG)('see what is wrong in %s: %s, however it is written', (from, to) => {
    for (const path of new Set(spellings(from, to))) {
      for (const [kind, write] of Object.entries(STATEMENTS)) {
        expect(edgesAgainst(new Map([[from, write(path)]])), `${kind} ${path}`).toHaveLength(1);
      }
    }
  });

  it.each([
    ['lib/model/x.ts', 'node:fs'],
    ['lib/model/x.ts', 'axios'],
    ['lib/model/x.ts', '#internal'],
    ['lib/model/x.ts', '../../test/unit/x.js'],
    ['lib/backend/machinery/x.ts', 'rxjs/operators'],
    ['lib/backend/machinery/x.ts', '@nestjs/common'],
    ['lib/observability/x.ts', 'rxjs'],
    ['lib/balancing/x.ts', 'rxjs'],
    ['lib/discovery/x.ts', '@nestjs/core'],
    ['lib/http/x.ts', '@nestjs/common'],
    ['lib/http/x.ts', 'nestjs-service-discovery'],
    ['lib/testing/x.ts', 'nestjs-service-discovery/testing'],
    ['lib/nest/x.ts', '@nestjs/platform-express'],
    ['lib/backends/nats/x.ts', '@nestjs/common'],
    ['lib/backends/nats/x.ts', 'rxjs'],
    ['lib/backends/nats/x.ts', '@grpc/grpc-js'],
    ['lib/backends/nats/nest/x.ts', '@nestjs/config'],
    ['lib/integrations/terminus/x.ts', '@nestjs/config'],
    ['lib/integrations/cli/x.ts', 'nestjs-service-discovery/consul'],
  ])('see what is wrong in %s: the package %s, however it is written', (from, name) => {
    for (const [kind, write] of Object.entries(STATEMENTS)) {
      // A reference's path is never a package.
      if (kind === 'a reference') continue;
      expect(edgesAgainst(new Map([[from, write(name)]])), kind).toHaveLength(1);
    }
  });

  it.each([
    [
      'lib/backend/machinery/x.ts',
      ['./y.js', '../port/index.js', '../port/view.js', '../../model/index.js', 'node:fs'],
    ],
    ['lib/backend/index.ts', ['./port/index.js', './driver/index.js']],
    ['lib/http/deeper/x.ts', ['../y.js', '../../discovery/index.js', '../../backend/port/index.js', 'undici', 'rxjs']],
    ['lib/nest/x.ts', ['../http/index.js', '../backends/local/index.js', '@nestjs/common', 'rxjs/operators']],
    ['lib/backends/dns/x.ts', ['../../backend/index.js', '../../model/names.js', './client/index.js', 'node:dns']],
    ['lib/backends/nats/client/x.ts', ['../nats.codec.js', '../../../backend/driver/index.js', 'nats']],
    ['lib/backends/nats/nest/x.ts', ['../index.js', '../../../nest/index.js', '../../../backend/index.js', 'rxjs']],
    ['lib/integrations/terminus/x.ts', ['../../nest/index.js', '../../model/index.js', '@nestjs/terminus']],
    ['lib/testing/x.ts', ['../index.js', '../nest/index.js', '../backends/nats/index.js', '@nestjs/testing']],
    ['lib/index.ts', ['./nest/index.js', './backends/local/index.js']],
  ])('say nothing of what %s may import', (from, paths) => {
    const source = paths.flatMap((path) =>
      Object.values(STATEMENTS)
        .slice(0, -1)
        .map((write) => write(path)),
    );
    expect(edgesAgainst(new Map([[from, source.join('\n')]]))).toEqual([]);
  });

  it('name no place that is gone', () => {
    const planned = /^(index\.ts$|integrations\/)|\*/;
    const gone = Object.keys(HOUSE).filter(
      (place) => ![...files.keys()].some((file) => file.startsWith(`lib/${place}/`)),
    );
    expect(gone.filter((place) => !planned.test(place))).toEqual([]);
  });
});

describe('circles', () => {
  it.each(Object.entries(STATEMENTS))('are seen through %s', (_, write) => {
    const circle = new Map([
      ['lib/http/a.ts', write('./b.js')],
      ['lib/http/b.ts', "import type { C } from './deeper'"],
      ['lib/http/deeper/index.ts', "import { a } from '../a.js'"],
      ['lib/http/d.ts', "import { a } from './a.js'"],
    ]);
    expect(circlesOf(circle)).toEqual(['lib/http/a.ts → lib/http/b.ts → lib/http/deeper/index.ts → lib/http/a.ts']);
  });

  it('are seen through a room’s own index, and of a file with itself', () => {
    const index = new Map([
      ['lib/http/index.ts', "export * from './a.js'"],
      ['lib/http/a.ts', "import { b } from './index.js'"],
      ['lib/http/self.ts', "import type { X } from './self.js'"],
    ]);
    expect(circlesOf(index)).toHaveLength(2);
  });

  it('are not two ways to the same file', () => {
    const diamond = new Map([
      ['lib/http/a.ts', "import './b.js';import './c.js'"],
      ['lib/http/b.ts', "import './d.js'"],
      ['lib/http/c.ts', "import './d.js'"],
      ['lib/http/d.ts', ''],
    ]);
    expect(circlesOf(diamond)).toEqual([]);
  });
});
