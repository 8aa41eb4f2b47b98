import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lowestPeers } from '../package/lowest-peers.js';
import { packTarball, type Tarball } from '../package/tarball.js';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** Takes the package's own environment away: npm's variables of this run would lead the inner one astray. */
function cleanEnv(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_ENV|NODE_OPTIONS)/.test(name));
  return { ...Object.fromEntries(entries), ...more };
}

let folder: string;
let tarball: Tarball;

/** A stock app of its own, with the tarball installed. */
async function install(app: string, pins?: Readonly<Record<string, string>>): Promise<string> {
  const target = join(folder, pins === undefined ? app : `${app}-pinned`);
  await cp(join(import.meta.dirname, 'apps', app), target, { recursive: true });
  if (pins !== undefined) {
    const manifest = JSON.parse(await readFile(join(target, 'package.json'), 'utf8')) as { dependencies: object };
    manifest.dependencies = { ...manifest.dependencies, ...pins };
    await writeFile(join(target, 'package.json'), JSON.stringify(manifest));
  }
  await run('npm', ['install', '--no-audit', '--no-fund', tarball.path], { cwd: target, env: cleanEnv() });
  await mkdir(join(target, 'config'));
  await writeFile(join(target, 'config/application.yaml'), 'limit: 5\n');
  return target;
}

/** The names of the entries as users import them. */
async function entryNames(): Promise<string[]> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { readonly exports: object };
  return Object.keys(manifest.exports)
    .filter((entry) => entry !== './package.json')
    .map((entry) => `nestjs-service-discovery${entry.slice(1)}`);
}

/**
 * Prints how many names each entry has by `import`, by `require`, and in the CommonJS build itself, which `require` of a
 * Node that knows `module-sync` passes over.
 */
const LOAD = `
  const { readFileSync } = require('node:fs');
  const manifest = JSON.parse(readFileSync(require.resolve('nestjs-service-discovery/package.json'), 'utf8'));
  (async () => {
    const found = {};
    for (const name of process.argv.slice(2)) {
      const { require: commonjs } = manifest.exports[name.replace('nestjs-service-discovery', '.')];
      const modules = [await import(name), require(name), require('./node_modules/nestjs-service-discovery/' + commonjs.default)];
      found[name] = modules.map((module) => Object.keys(module).filter((key) => !/^(default|module\\.exports|__esModule)$/.test(key)).sort().join());
    }
    console.log(JSON.stringify(found));
  })();
`;

/** Every entry loads in the app, by each way the same names; what isn't an entry doesn't. */
async function expectEntriesToLoad(app: string): Promise<void> {
  const names = await entryNames();
  await writeFile(join(app, 'load.cjs'), LOAD);
  const { stdout } = await run(process.execPath, ['load.cjs', ...names], { cwd: app, env: cleanEnv() });
  const found = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, readonly string[]>;
  expect(Object.keys(found)).toEqual(names);
  for (const [name, [imported, ...others]] of Object.entries(found)) {
    expect(imported, name).not.toBe('');
    expect(others, name).toEqual([imported, imported]);
  }
  const hidden = run(process.execPath, ['-e', "require('nestjs-service-discovery/backends/consul/client')"], {
    cwd: app,
  });
  await expect(hidden).rejects.toMatchObject({
    stderr: expect.stringContaining('ERR_PACKAGE_PATH_NOT_EXPORTED') as string,
  });
}

/** The oldest compiler that is tried, beside the app's own. */
async function withOldCompiler(app: string): Promise<string> {
  await run('npm', ['install', '--no-audit', '--no-fund', '--no-save', 'typescript-5.5@npm:typescript@~5.5'], {
    cwd: app,
    env: cleanEnv(),
  });
  return 'typescript-5.5';
}

/** The types of every entry are found in the app, with every declaration file checked. */
async function expectTypesToResolve(
  app: string,
  options: Readonly<Record<string, unknown>>,
  compiler = 'typescript',
): Promise<void> {
  const names = await entryNames();
  const lines = names.map(
    (name, index) => `import * as entry${index} from '${name}';\nexport type E${index} = keyof typeof entry${index};`,
  );
  // A name of each kind, so that an \`any\` is noticed.
  lines.push("import type { ContractHarness } from 'nestjs-service-discovery/testing/contract';");
  lines.push("import { DiscoveryError } from 'nestjs-service-discovery/backend';");
  lines.push(
    "export const code: ContractHarness | number = new DiscoveryError('ABORTED', 'x').code === 'ABORTED' ? 1 : 2;",
  );
  lines.push('// @ts-expect-error There is no such name.');
  lines.push('export type Wrong = typeof entry0.describe;');
  await mkdir(join(app, 'types'), { recursive: true });
  await writeFile(join(app, 'types/entries.ts'), lines.join('\n'));
  const compilerOptions = {
    ...{ target: 'ES2022', strict: true, noEmit: true, skipLibCheck: false, types: ['node'], esModuleInterop: true },
    ...options,
  };
  await writeFile(join(app, 'tsconfig.types.json'), JSON.stringify({ compilerOptions, files: ['types/entries.ts'] }));
  const tsc = run(process.execPath, [`node_modules/${compiler}/bin/tsc`, '-p', 'tsconfig.types.json'], { cwd: app });
  await tsc.catch((error: unknown) => {
    throw new Error((error as { readonly stdout: string }).stdout, { cause: error });
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nsd-packaging-'));
  tarball = await packTarball(folder);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('the tarball', () => {
  test('holds the build, the pages, the samples and nothing else', async () => {
    const { stdout } = await run('tar', ['-tzf', tarball.path]);
    const files = stdout.trim().split('\n');
    expect(files).toContain('package/dist/esm/index.js');
    expect(files).toContain('package/dist/cjs/index.d.ts');
    expect(
      files.filter(
        (file) =>
          !/^package\/(dist\/|docs\/|sample\/|schematics\/|package\.json|LICENSE|[A-Z]+(\.zh-CN)?\.md)/.test(file),
      ),
    ).toEqual([]);
    expect(files).toContain('package/docs/README.md');
    expect(files.filter((file) => /^package\/(sample\/.*\/dist|docs\/api)\//.test(file))).toEqual([]);
  });

  test('is no larger than it was meant to be', () => {
    const { size, unpackedSize, entryCount } = tarball;
    process.stdout.write(`tarball: ${size} bytes packed, ${unpackedSize} unpacked, ${entryCount} files\n`);
    expect(size).toBeLessThan(1_600_000);
    expect(unpackedSize).toBeLessThan(6_800_000);
  });

  test('every import of the build is declared, and no type of an optional package leaks into the core', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<
      string,
      Record<string, unknown>
    >;
    const declared = new Set([
      ...Object.keys(manifest['dependencies'] ?? {}),
      ...Object.keys(manifest['peerDependencies'] ?? {}),
    ]);
    const optional = Object.keys(manifest['peerDependenciesMeta'] ?? {});
    const files = await readdir(join(root, 'dist/esm'), { recursive: true });
    const packages = new Set<string>();
    for (const file of files.filter((name) => name.endsWith('.js'))) {
      const text = await readFile(join(root, 'dist/esm', file), 'utf8');
      for (const { fileName } of ts.preProcessFile(text, true, true).importedFiles) {
        if (fileName.startsWith('.') || fileName.startsWith('node:')) continue;
        packages.add(fileName.split('/', fileName.startsWith('@') ? 2 : 1).join('/'));
      }
    }
    expect(packages).toContain('undici');
    expect([...packages].filter((name) => !declared.has(name))).toEqual([]);
    const core = await run('grep', [
      '-rlE',
      `from '(${optional.join('|')})`,
      '--include=*.d.ts',
      join(root, 'dist/esm'),
    ]).catch(() => ({ stdout: '' }));
    const elsewhere = core.stdout.split('\n').filter((file) => !/^$|\/(backends|integrations)\//.test(file));
    expect(elsewhere).toEqual([]);
  });

  test('every entry point has its files, for import and for require', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      readonly exports: Record<string, string | Record<string, { readonly types: string; readonly default: string }>>;
    };
    for (const [entry, conditions] of Object.entries(manifest.exports)) {
      if (typeof conditions === 'string') continue;
      expect(Object.keys(conditions), entry).toEqual(['module-sync', 'import', 'require']);
      for (const { types, default: file } of Object.values(conditions)) {
        await expect(readFile(join(root, types)), types).resolves.toBeDefined();
        await expect(readFile(join(root, file)), file).resolves.toBeDefined();
      }
    }
  });
});

describe('a stock app', () => {
  test('on Nest 12, as ES modules, with every declaration file checked', async () => {
    const app = await install('nest-12-esm');
    await run('npm', ['run', 'build'], { cwd: app, env: cleanEnv() });
    const { stdout } = await run(process.execPath, ['dist/main.js', join(app, 'registry'), join(app, 'config')], {
      cwd: app,
      env: cleanEnv(),
    });
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toEqual({ limit: 5, name: 'esm' });
    await expectEntriesToLoad(app);
    for (const compiler of ['typescript', await withOldCompiler(app)]) {
      await expectTypesToResolve(app, { module: 'node16', moduleResolution: 'node16' }, compiler);
      await expectTypesToResolve(app, { module: 'preserve', moduleResolution: 'bundler' }, compiler);
    }
  });

  test('on Nest 11, as CommonJS, with its own jest', async () => {
    const app = await install('nest-11-cjs');
    const env = cleanEnv({ REGISTRY_DIRECTORY: join(app, 'registry'), CONFIG_DIRECTORY: join(app, 'config') });
    await run('npm', ['run', 'build'], { cwd: app, env });
    const { stdout } = await run(process.execPath, ['dist/main.js'], { cwd: app, env });
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toEqual({ limit: 5, name: 'cjs' });
    const jest = await run('npm', ['test', '--', '--ci'], { cwd: app, env });
    expect(jest.stderr).toMatch(/Tests: +3 passed/);
    await expectEntriesToLoad(app);
    for (const compiler of ['typescript', await withOldCompiler(app)]) {
      await expectTypesToResolve(app, { module: 'node16', moduleResolution: 'node16' }, compiler);
      await expectTypesToResolve(app, { module: 'preserve', moduleResolution: 'bundler' }, compiler);
      // TypeScript's classic way, which knows no `exports`.
      await expectTypesToResolve(app, { module: 'commonjs', moduleResolution: 'node10' }, compiler);
    }
  });

  test('on the lowest versions of all peers together', async () => {
    const peers = await lowestPeers();
    const nest = peers['@nestjs/core'] ?? '';
    const app = await install('nest-11-cjs', { ...peers, '@nestjs/platform-express': nest });
    for (const [name, version] of Object.entries(peers)) {
      const manifest = await readFile(join(app, 'node_modules', name, 'package.json'), 'utf8');
      expect(JSON.parse(manifest), name).toMatchObject({ version });
    }
    const env = cleanEnv({ REGISTRY_DIRECTORY: join(app, 'registry'), CONFIG_DIRECTORY: join(app, 'config') });
    await run('npm', ['run', 'build'], { cwd: app, env });
    const { stdout } = await run(process.execPath, ['dist/main.js'], { cwd: app, env });
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toEqual({ limit: 5, name: 'cjs' });
    await expectEntriesToLoad(app);
  });
});
