import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { DEFAULT_BACKEND, FLOORS, NEST_ROOM_MAY, WING_MAY } from './floors.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** What `source`, in the file `path`, imports; types in `import('…')` too, which oxlint doesn't look at. */
function importsOf(path: string, source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map(({ fileName }) => {
    if (!fileName.startsWith('.')) return fileName;
    return posix.join(posix.dirname(path), fileName).replace(/\.js$/, '.ts');
  });
}

/** Why the file `path` may not import `target`, or undefined when it may. */
function problem(path: string, target: string): string | undefined {
  const [, floor = '', wing = '', room = ''] = path.split('/');
  const isNest = target.startsWith('@nestjs/');
  if (/^nestjs-service-discovery(\/|$)/.test(target)) return 'its own package';
  if (floor === 'testing') return undefined;
  const inNestRoom = floor === 'backends' && room === 'nest';
  if (!target.startsWith('lib/')) {
    if (floor === 'model') return 'a package';
    return isNest && floor !== 'nest' && !inNestRoom ? 'Nest' : undefined;
  }
  const [, to = '', toWing = ''] = target.split('/');
  if (floor === 'index.ts') return to in FLOORS || target === DEFAULT_BACKEND ? undefined : 'a wing or the tests';
  if (floor === to && floor !== 'backends') return undefined;
  if (floor === 'backends') {
    if (to === 'backends') {
      if (toWing !== wing) return 'another wing';
      return !inNestRoom && target.startsWith(`lib/backends/${wing}/nest/`) ? 'its nest/ room' : undefined;
    }
    const may: readonly string[] = inNestRoom ? NEST_ROOM_MAY : WING_MAY;
    return may.includes(to) ? undefined : `lib/${to}`;
  }
  if (floor === 'nest' && target === DEFAULT_BACKEND) return undefined;
  return FLOORS[floor]?.includes(to) === true ? undefined : `lib/${to}`;
}

describe('the import graph of lib/', () => {
  it('has no edge against the floors', () => {
    const files = readdirSync(`${root}lib`, { recursive: true, encoding: 'utf8' })
      .map((file) => `lib/${file.replaceAll('\\', '/')}`)
      .filter((file) => file.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(30);
    const wrong: string[] = [];
    for (const file of files) {
      for (const target of importsOf(file, readFileSync(root + file, 'utf8'))) {
        const reason = problem(file, target);
        if (reason !== undefined) wrong.push(`${file} imports ${target}: ${reason}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each([
    ['lib/model/x.ts', "import '../backend/index.js'"],
    ['lib/model/x.ts', "type X = import('../backend/index.js').X"],
    ['lib/model/x.ts', "import('node:fs')"],
    ['lib/http/x.ts', "export * from '../config/index.js'"],
    ['lib/http/deeper/x.ts', "import '../../nest/index.js'"],
    ['lib/discovery/x.ts', "import '../backends/local/index.js'"],
    ['lib/nest/x.ts', "import '../backends/local/local.store.js'"],
    ['lib/nest/x.ts', "import '../backends/nats/index.js'"],
    ['lib/nest/x.ts', "import '../index.js'"],
    ['lib/backends/nats/x.ts', "import '../nacos/index.js'"],
    ['lib/backends/nats/x.ts', "import './nest/index.js'"],
    ['lib/backends/nats/x.ts', "import '@nestjs/common'"],
    ['lib/backends/nats/nest/x.ts', "import '../../../config/index.js'"],
    ['lib/index.ts', "export * from './testing/index.js'"],
    ['lib/http/x.ts', "import 'nestjs-service-discovery'"],
  ])('sees what is wrong in %s: %s', (path, source) => {
    const reasons = importsOf(path, source).map((target) => problem(path, target));
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toBeDefined();
  });
});
