import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { local } from '../../lib/backends/local/index.js';
import { ConfigClient, DiscoveryModule, loadConfig } from '../../lib/index.js';
import { leakedResources, settledResources } from '../../lib/testing/contract/contract.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { init } from './support.js';

test('the configuration is there before the app, from the same options, and leaves nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nsd-load-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'ORDERS.yaml'), 'features: { audit: true }\nshop.limit: 5\ndb.password: x\n');
  const before = await settledResources();
  const backend = local({ directory: join(folder, 'registry'), configDirectory: folder });
  const options = {
    service: { name: 'ORDERS' },
    registry: backend,
    config: backend,
    configOptions: { environment: { SHOP_LIMIT: '7' }, commandLine: false },
  };
  const config = await loadConfig(options);
  expect(config.get('features.audit', false)).toBe(true);
  expect(config.get('shop.limit', 0)).toBe(7);
  expect(config.keys).toEqual(['db.password', 'features.audit', 'shop.limit']);
  expect(config.explain('db.password').value).toBe('******');
  // Live until it is closed.
  await writeFile(join(folder, 'ORDERS.yaml'), 'features: { audit: false }\n');
  await expect.poll(() => config.get('features.audit'), { timeout: 8000 }).toBe(false);
  await config.close();
  await config.close();
  expect(config.get('features.audit')).toBe(false);
  await expect.poll(() => leakedResources(before), { timeout: 8000 }).toEqual([]);
  @Module({ imports: [DiscoveryModule.forRoot(options)] })
  class AppModule {}
  expect((await init(AppModule)).get(ConfigClient).get('shop.limit')).toBe('7');
});

test('nothing registers, and no registry stands in for one that was not given', async () => {
  const registry = new InMemoryRegistry();
  registry.setDocument('ORDERS.yaml', 'a: 1', 'yaml');
  const backend = registry.backend();
  const config = await loadConfig({ service: { name: 'ORDERS' }, registry: backend, config: backend });
  onTestFinished(() => config.close());
  expect(config.get('a')).toBe(1);
  expect(await (await loadConfig({ service: { name: 'ORDERS' }, config: registry.backend() })).close()).toBeUndefined();
});

test('what can’t be loaded or doesn’t fit is an error, and nothing stays open', async () => {
  const registry = new InMemoryRegistry();
  registry.setDocument('ORDERS.yaml', 'a: x', 'yaml');
  const before = await settledResources();
  const load = (configOptions: object) =>
    loadConfig({ service: { name: 'ORDERS' }, config: registry.backend(), configOptions });
  await expect(load({ schema: z.object({ a: z.number() }) })).rejects.toMatchObject({ code: 'CONFIG_VALUE_INVALID' });
  await expect(load({ documents: [{ id: 'none.yaml' }] })).rejects.toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
  await expect(load({ sources: [] })).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'configOptions.sources' });
  await expect.poll(() => leakedResources(before), { timeout: 8000 }).toEqual([]);
});
