import { Injectable, Module } from '@nestjs/common';
import { expect, test } from 'vitest';
import {
  ConfigValue,
  DiscoveryClient,
  DiscoveryModule,
  OnConfigChange,
  OnInstancesChange,
  type Snapshot,
} from '../../lib/index.js';
import { InMemoryRegistry, settled } from '../../lib/testing/index.js';
import { init } from './support.js';

test('settled: what was given has arrived, in values, lists and handlers', async () => {
  const registry = new InMemoryRegistry();
  const seen: unknown[] = [];
  @Injectable()
  class Shop {
    @ConfigValue('limit', 1) readonly limit!: number;
    @OnConfigChange('limit') limited(): void {
      seen.push(`limit ${this.limit}`);
    }
    @OnInstancesChange('STOCK') changed({ instances }: Snapshot): void {
      seen.push(`instances ${instances.length}`);
    }
  }
  const backend = registry.backend();
  @Module({
    providers: [Shop],
    imports: [
      DiscoveryModule.forRoot({
        registry: backend,
        config: backend,
        // Nothing comes by itself within this test.
        configOptions: { debounceMs: 3_600_000 },
      }),
    ],
  })
  class AppModule {}
  const app = await init(AppModule);
  await settled(app);
  expect(seen).toEqual([]);

  registry.setDocument('application.yaml', 'limit: 7', 'yaml');
  registry.addInstance('STOCK', { port: 1 });
  await settled(app);
  expect(app.get(Shop).limit).toBe(7);
  expect(seen.toSorted()).toEqual(['instances 1', 'limit 7']);
  expect(await app.get(DiscoveryClient).getInstances('STOCK')).toHaveLength(1);

  registry.fail(new Error('no power'));
  await expect(settled(app)).rejects.toThrow('no power');
  await app.close();
});

test('settled: the app is registered, once it listens', async () => {
  const registry = new InMemoryRegistry();
  const backend = registry.backend();
  @Module({ imports: [DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry: backend, config: backend })] })
  class AppModule {}
  const app = await init(AppModule);
  await settled(app);
  expect(registry.instancesOf('SHOP')).toHaveLength(0);
  await app.listen(0);
  await settled(app);
  expect(registry.instancesOf('SHOP')).toHaveLength(1);
  await app.close();
});
