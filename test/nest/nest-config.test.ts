import { Injectable, Module } from '@nestjs/common';
import { ConfigModule, ConfigService, registerAs } from '@nestjs/config';
import { expect, onTestFinished, test } from 'vitest';
import { ConfigClient, DiscoveryModule, loadConfig } from '../../lib/index.js';
import {
  configLoader,
  DiscoveryConfigModule,
  type DiscoveryConfigOptions,
} from '../../lib/integrations/nest-config/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { init } from './support.js';

async function open(options: DiscoveryConfigOptions, cache = false) {
  const registry = new InMemoryRegistry();
  registry.setDocument('ORDERS.yaml', 'db: { url: one, password: s3 }\nlist: [1, 2]\nown.a: document', 'yaml');
  const backend = registry.backend();
  const own = registerAs('own', () => ({ a: 'namespace', b: 'kept' }));
  @Module({
    imports: [
      ConfigModule.forRoot({ isGlobal: true, ignoreEnvFile: true, cache, load: [own] }),
      DiscoveryConfigModule.forRoot(options),
      DiscoveryModule.forRoot({ service: { name: 'ORDERS' }, registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const app = await init(AppModule);
  return { app, registry, service: app.get(ConfigService) };
}

test.each([false, true])('ConfigService has the values and follows them, with cache %s', async (cache) => {
  const { app, registry, service } = await open({ exclude: ['db.password'] }, cache);
  const changes: [string, unknown, unknown][] = [];
  service.changes$.subscribe((change) => {
    // A list, whatever its type says.
    const path: unknown = change.path;
    changes.push([String(path), change.oldValue, change.newValue]);
  });
  expect(service.get('db')).toEqual({ url: 'one' });
  expect(service.get('list')).toEqual([1, 2]);
  expect(service.get('own')).toEqual({ a: 'document', b: 'kept' });
  registry.setDocument('ORDERS.yaml', 'db: { url: two, password: s4 }\nlist: [1, 2]\nown.a: document', 'yaml');
  await expect.poll(() => service.get<string>('db.url')).toBe('two');
  expect(changes).toEqual([['db.url', 'one', 'two']]);
  expect(service.get('db.password')).toBeUndefined();
  expect(Object.keys(process.env).filter((name) => name.includes('db.'))).toEqual([]);
  await app.close();
  registry.setDocument('ORDERS.yaml', 'db.url: three', 'yaml');
  expect(service.get('db.url')).toBe('two');
});

test('process.env has the values when that is asked for', async () => {
  onTestFinished(() => {
    for (const key of ['db.url', 'db.password', 'list', 'own.a']) delete process.env[key];
  });
  await open({ processEnv: true });
  expect(process.env['db.url']).toBe('one');
});

test('a loader gives what loadConfig has to those who read it in their constructors', async () => {
  const registry = new InMemoryRegistry();
  registry.setDocument('ORDERS.yaml', 'db: { url: one, password: x }', 'yaml');
  const config = await loadConfig({ service: { name: 'ORDERS' }, config: registry.backend() });
  onTestFinished(() => config.close());
  const seen: unknown[] = [];
  @Injectable()
  class Database {
    constructor(service: ConfigService) {
      seen.push(service.get('db'));
    }
  }
  const load = [configLoader(config, { exclude: ['db.password'] })];
  @Module({ imports: [ConfigModule.forRoot({ isGlobal: true, ignoreEnvFile: true, load })], providers: [Database] })
  class AppModule {}
  await init(AppModule);
  expect(seen).toEqual([{ url: 'one' }]);
});

test('other modules’ factories can await the configuration', async () => {
  const registry = new InMemoryRegistry();
  registry.setDocument('ORDERS.yaml', 'db.url: one', 'yaml');
  const backend = registry.backend();
  const discovery = DiscoveryModule.forRootAsync({
    useFactory: async () => Promise.resolve({ service: { name: 'ORDERS' }, registry: backend, config: backend }),
  });
  const DB = Symbol('db');
  @Module({
    imports: [discovery],
    providers: [{ provide: DB, inject: [ConfigClient], useFactory: (config: ConfigClient) => config.get('db.url') }],
  })
  class AppModule {}
  expect((await init(AppModule)).get(DB)).toBe('one');
});
