import { join } from 'node:path';
import { Tree } from '@angular-devkit/schematics';
import { SchematicTestRunner } from '@angular-devkit/schematics/testing';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const collection = join(import.meta.dirname, '../../schematics/collection.json');

/** What `nest new` of Nest 11 makes; that of Nest 12 differs in the endings of its imports. */
const stock = {
  'package.json': '{ "name": "@acme/web-shop", "dependencies": { "rxjs": "^7.8.1" } }',
  'src/main.ts': [
    "import { NestFactory } from '@nestjs/core';",
    "import { AppModule } from './app.module';",
    '',
    'async function bootstrap() {',
    '  const app = await NestFactory.create(AppModule);',
    '  await app.listen(process.env.PORT ?? 3000);',
    '}',
    'bootstrap();',
    '',
  ].join('\n'),
  'src/app.module.ts': [
    "import { Module } from '@nestjs/common';",
    "import { AppController } from './app.controller';",
    '',
    '@Module({',
    '  imports: [],',
    '  controllers: [AppController],',
    '})',
    'export class AppModule {}',
    '',
  ].join('\n'),
};

interface Added {
  read(path: string): string;
  readonly tasks: readonly string[];
  readonly lines: readonly string[];
}

/** Runs `nest add` on an app's files, `times` times; what it makes must parse. */
async function add(files: Readonly<Record<string, string>>, options: object, times = 1): Promise<Added> {
  const runner = new SchematicTestRunner('nestjs-service-discovery', collection);
  const lines: string[] = [];
  runner.logger.subscribe(({ message }) => lines.push(message));
  let tree: Tree = Tree.empty();
  for (const [path, text] of Object.entries(files)) tree.create(path, text);
  for (let count = 0; count < times; count++) tree = await runner.runSchematic('nest-add', options, tree);
  const read = (path: string): string => (tree.exists(path) ? tree.readText(path) : '');
  for (const path of ['src/main.ts', 'src/app.module.ts']) {
    const { diagnostics } = ts.transpileModule(read(path), { reportDiagnostics: true });
    expect(diagnostics, read(path)).toEqual([]);
  }
  return { read, tasks: runner.tasks.map(({ name }) => name), lines };
}

describe('nest add nestjs-service-discovery', () => {
  test.each([
    ['Nest 11', ''],
    ['Nest 12', '.js'],
  ])('on a stock app of %s', async (_nest, ending) => {
    const files = Object.fromEntries(
      Object.entries(stock).map(([path, text]) => [path, text.replaceAll(/('\.\/[^']+)'/g, `$1${ending}'`)]),
    );
    const { read, tasks } = await add(files, { backend: 'nats' });
    expect(read('src/app.module.ts')).toBe(
      [
        "import { Module } from '@nestjs/common';",
        `import { AppController } from './app.controller${ending}';`,
        "import { DiscoveryModule } from 'nestjs-service-discovery';",
        "import { nats } from 'nestjs-service-discovery/nats';",
        '',
        'const backend = nats();',
        '',
        '@Module({',
        "  imports: [DiscoveryModule.forRoot({ service: { name: 'WEB-SHOP' }, registry: backend, config: backend })],",
        '  controllers: [AppController],',
        '})',
        'export class AppModule {}',
        '',
      ].join('\n'),
    );
    expect(read('src/main.ts')).toContain('const app = enableGracefulShutdown(await NestFactory.create(AppModule));');
    expect(read('src/main.ts')).toContain("import { enableGracefulShutdown } from 'nestjs-service-discovery';");
    expect(JSON.parse(read('package.json'))).toMatchObject({
      dependencies: { axios: '^1.9.0', nats: '^2.29.0', rxjs: '^7.8.1' },
    });
    expect(read('.env')).toBe('NATS_URL=nats://localhost:4222\n');
    expect(tasks).toEqual(['node-package']);
  });

  test('comes last in a list, after its trailing comma, and leaves what is written as it is', async () => {
    const module = stock['src/app.module.ts'].replace(
      'imports: []',
      'imports: [\n    A, // first\n    B.forRoot(),\n  ]',
    );
    const { read } = await add({ ...stock, 'src/app.module.ts': module }, { backend: 'eureka', service: 'SHOP' });
    expect(read('src/app.module.ts')).toContain(
      [
        '  imports: [',
        '    A, // first',
        '    B.forRoot(),',
        "    DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry: backend, config: local() }),",
        '  ],',
      ].join('\n'),
    );
    expect(read('src/app.module.ts')).toContain("import { local } from 'nestjs-service-discovery/local';");
  });

  test.each([
    ['no list', 'imports: [],\n', '', '{\n  imports: [DiscoveryModule.forRoot('],
    [
      'a list that is made elsewhere',
      'imports: []',
      'imports: modules',
      'imports: [...modules, DiscoveryModule.forRoot(',
    ],
    ['a list by its name alone', 'imports: []', 'imports', 'imports: [...imports, DiscoveryModule.forRoot('],
  ])('with %s of imports', async (_what, from, to, expected) => {
    const module = stock['src/app.module.ts'].replace(from, to);
    const { read } = await add({ ...stock, 'src/app.module.ts': module }, { backend: 'local' });
    expect(read('src/app.module.ts')).toContain(expected);
  });

  test("takes the place of Nest's own shutdown hooks, and keeps the adapter's type", async () => {
    const main = [
      'import { NestFactory } from "@nestjs/core";',
      'import { ShopModule } from "./shop/shop.module";',
      'const app = await NestFactory.create<NestFastifyApplication>(ShopModule, new FastifyAdapter());',
      'app.enableShutdownHooks();',
      'await app.listen(3000);',
      '',
    ].join('\n');
    const files = { ...stock, 'src/main.ts': main, 'src/shop/shop.module.ts': stock['src/app.module.ts'] };
    const { read } = await add(files, { backend: 'consul' });
    expect(read('src/main.ts')).toBe(
      [
        'import { NestFactory } from "@nestjs/core";',
        'import { ShopModule } from "./shop/shop.module";',
        'import { enableGracefulShutdown } from "nestjs-service-discovery";',
        'const app = enableGracefulShutdown(await NestFactory.create<NestFastifyApplication>(ShopModule, new FastifyAdapter()));',
        'await app.listen(3000);',
        '',
      ].join('\n'),
    );
    // The root module is the one that main.ts creates the app of.
    expect(read('src/shop/shop.module.ts')).toContain('DiscoveryModule.forRoot(');
    expect(read('src/app.module.ts')).toBe(stock['src/app.module.ts']);
  });

  test('twice is once', async () => {
    const files = { ...stock, '.env': 'A=1' };
    const once = await add(files, { backend: 'consul' });
    const twice = await add(files, { backend: 'consul' }, 2);
    for (const path of ['src/main.ts', 'src/app.module.ts', 'package.json', '.env'])
      expect(twice.read(path), path).toBe(once.read(path));
    expect(once.read('.env')).toBe('A=1\nCONSUL_HTTP_ADDR=localhost:8500\n');
  });

  test('says what to write by hand where it does not understand what is there', async () => {
    const files = { 'package.json': '{}', 'src/main.ts': 'run();\n' };
    const { read, lines } = await add(files, { backend: 'local', skipInstall: true });
    expect(read('src/main.ts')).toBe('run();\n');
    expect(lines.join('\n')).toMatch(/DiscoveryModule\.forRoot\(.+\) as the last of your root module's imports/);
    expect(lines.join('\n')).toContain('enableGracefulShutdown(await NestFactory.create(AppModule))');
  });

  test('refuses a backend that there is none of', async () => {
    await expect(add(stock, { backend: 'etcd' })).rejects.toThrow(/backend/);
  });

  test('quotes a name that would end the text', async () => {
    const { read } = await add(stock, { backend: 'local', service: "it's" });
    expect(read('src/app.module.ts')).toContain(String.raw`name: 'it\'s'`);
  });
});
