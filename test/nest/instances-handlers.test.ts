import { Injectable, Module } from '@nestjs/common';
import { describe, expect, test } from 'vitest';
import {
  DiscoveryClient,
  DiscoveryModule,
  EventHub,
  OnInstancesChange,
  type InstancesDiff,
  type Snapshot,
} from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { init } from './support.js';

describe('instances', () => {
  test('@OnInstancesChange hears of what changed, from the first list on; a throwing method hurts nobody', async () => {
    const registry = new InMemoryRegistry();
    const seen: string[] = [];
    @Injectable()
    class Listener {
      @OnInstancesChange('STOCK') changed({ state }: Snapshot, { added, removed }: InstancesDiff): void {
        seen.push(`${state} +${added.map(({ port }) => port).join()} -${removed.map(({ port }) => port).join()}`);
      }
      @OnInstancesChange('STOCK') throws(): void {
        throw new Error('no');
      }
    }
    const backend = registry.backend();
    @Module({ providers: [Listener], imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class AppModule {}
    registry.addInstance('STOCK', { port: 1 });
    const app = await init(AppModule);
    await expect.poll(() => seen).toEqual(['fresh +1 -']);
    registry.addInstance('STOCK', { port: 2 });
    await expect.poll(() => seen.at(-1)).toBe('fresh +2 -');
    registry.removeInstance('STOCK', '127.0.0.1:1');
    await expect.poll(() => seen.at(-1)).toBe('fresh + -1');
    expect(app.get(EventHub).counts.get('listener.failed')).toBe(3);
    await app.close();
    registry.addInstance('STOCK', { port: 3 });
    expect(seen).toHaveLength(3);
  });

  test('a method that is overridden and decorated again is called once', async () => {
    const registry = new InMemoryRegistry();
    const seen: string[] = [];
    class Base {
      @OnInstancesChange('STOCK') changed(): void {
        seen.push('base');
      }
    }
    @Injectable()
    class Listener extends Base {
      @OnInstancesChange('STOCK') override changed(): void {
        seen.push('own');
      }
    }
    const backend = registry.backend();
    @Module({ providers: [Listener], imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class AppModule {}
    registry.addInstance('STOCK', { port: 1 });
    const app = await init(AppModule);
    await expect.poll(() => seen).toEqual(['own']);
    await app.close();
    expect(seen).toEqual(['own']);
  });

  test('watchInstances gives the snapshot, the changes, and the state through an outage, and releases its watch', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    const backend = registry.backend();
    @Module({
      imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, discovery: { lingerMs: 0 } })],
    })
    class AppModule {}
    const discovery = (await init(AppModule)).get(DiscoveryClient);
    const seen: string[] = [];
    const subscription = discovery
      .watchInstances('STOCK')
      .subscribe(({ state, instances }) => seen.push(`${state} ${instances.length}`));
    await expect.poll(() => seen).toEqual(['fresh 1']);
    registry.fail();
    await expect.poll(() => seen).toEqual(['fresh 1', 'stale 1']);
    const during = await discovery.getSnapshot('STOCK');
    expect(during).toMatchObject({ state: 'stale', error: { code: 'BACKEND_UNAVAILABLE' } });
    expect(during.asOf).toBeTypeOf('number');
    registry.recover();
    await expect.poll(() => seen.at(-1)).toBe('fresh 1');
    registry.addInstance('STOCK', { port: 2, status: 'DOWN' });
    await expect.poll(() => seen.at(-1)).toBe('fresh 2');
    expect(await discovery.getInstances('STOCK')).toHaveLength(1);
    expect(await discovery.getInstances('STOCK', { all: true })).toHaveLength(2);
    expect((await discovery.choose('STOCK')).port).toBe(1);
    subscription.unsubscribe();
    await expect.poll(() => registry.stats.openWatches).toBe(0);
  });

  test('refresh asks now; a name that is none is refused; an unknown service is an empty list', async () => {
    const registry = new InMemoryRegistry();
    const backend = registry.backend();
    @Module({ imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
    class AppModule {}
    const discovery = (await init(AppModule)).get(DiscoveryClient);
    expect(await discovery.getInstances('NOBODY')).toEqual([]);
    await expect(discovery.choose('NOBODY')).rejects.toMatchObject({ code: 'NO_INSTANCE' });
    const { reads } = registry.stats;
    await discovery.refresh('NOBODY');
    await discovery.refresh();
    expect(registry.stats.reads).toBe(reads + 2);
    await expect(discovery.getInstances('../x')).rejects.toMatchObject({ code: 'INVALID_NAME' });
    registry.fail();
    await expect(discovery.refresh('NOBODY')).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await expect(discovery.getServices()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
  });
});
