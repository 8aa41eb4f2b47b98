import { describe, expect, test } from 'vitest';
import {
  silentLogger,
  systemClock,
  type Backend,
  type DiscoveryDriver,
  type NamedDriver,
} from '../../../lib/backend/index.js';
import { ServiceListView, ServiceViews, type ServiceListOptions } from '../../../lib/discovery/index.js';
import type { ServiceList } from '../../../lib/model/index.js';
import { InMemoryRegistry, ManualClock } from '../../../lib/testing/index.js';

function open(registry: InMemoryRegistry, name: string): Backend {
  return registry.backend({ name }).create({
    appId: 'app',
    application: { name: 'app', profiles: [] },
    logger: silentLogger,
    clock: systemClock,
    random: Math.random,
    report: () => {},
  });
}

async function driversOf(...registries: InMemoryRegistry[]): Promise<NamedDriver<DiscoveryDriver>[]> {
  const backends = registries.map((registry, at) => open(registry, `memory-${at}`));
  await Promise.all(backends.map((backend) => backend.open()));
  return backends.map(({ name, discovery }) => {
    if (discovery === undefined) throw new Error('it has discovery');
    return { backend: name, driver: discovery };
  });
}

const optionsFor = (sources: NamedDriver<DiscoveryDriver>[], clock = systemClock): ServiceListOptions => ({
  clock,
  sources,
  lingerMs: 1000,
  report: () => {},
});

/** What the view says when it says something that passes. */
function until(view: ServiceListView, passes: (list: ServiceList) => boolean): Promise<ServiceList> {
  return new Promise((resolve) => {
    if (passes(view.current)) return resolve(view.current);
    const leave = view.subscribe((list) => {
      if (!passes(list)) return;
      leave();
      resolve(list);
    });
  });
}

describe('the list of services', () => {
  test('is the union of all backends, and pushed', async () => {
    const [one, two] = [new InMemoryRegistry(), new InMemoryRegistry()];
    one.addInstance('STOCK', { port: 1 });
    two.addInstance('PRICES', { port: 2 });
    two.addInstance('STOCK', { port: 3 });
    const view = new ServiceListView(optionsFor(await driversOf(one, two)));
    expect(view.current).toMatchObject({ services: [], state: 'unknown' });
    expect(await until(view, ({ services }) => services.length === 2)).toMatchObject({
      services: ['PRICES', 'STOCK'],
      state: 'fresh',
    });
    one.addInstance('CART', { port: 4 });
    await until(view, ({ services }) => services.includes('CART'));
    two.removeInstance('PRICES', two.instancesOf('PRICES')[0]?.id ?? '');
    expect((await until(view, ({ services }) => !services.includes('PRICES'))).services).toEqual(['CART', 'STOCK']);
    await view.close();
  });

  test('an outage makes it stale, and of one backend partial; the names stay', async () => {
    const [one, two] = [new InMemoryRegistry(), new InMemoryRegistry()];
    one.addInstance('STOCK', { port: 1 });
    two.addInstance('PRICES', { port: 2 });
    const view = new ServiceListView(optionsFor(await driversOf(one, two)));
    await until(view, ({ services }) => services.length === 2);
    one.fail();
    expect(await until(view, ({ partial }) => partial !== undefined)).toMatchObject({
      services: ['PRICES', 'STOCK'],
      state: 'fresh',
      partial: ['memory-0'],
    });
    two.fail();
    const stale = await until(view, ({ state }) => state === 'stale');
    expect(stale).toMatchObject({ services: ['PRICES', 'STOCK'], error: { code: 'BACKEND_UNAVAILABLE' } });
    one.recover();
    two.recover();
    expect(await until(view, ({ state, partial }) => state === 'fresh' && partial === undefined)).toMatchObject({
      services: ['PRICES', 'STOCK'],
    });
    await view.close();
  });

  test('a registry that forgot everything is doubted first', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    const [source] = await driversOf(registry);
    if (source === undefined) throw new Error('there is one');
    const clock = new ManualClock();
    const driver = Object.create(source.driver, { emptyIsCertain: { value: false } }) as DiscoveryDriver;
    const view = new ServiceListView(optionsFor([{ backend: 'doubtful', driver }], clock));
    await until(view, ({ services }) => services.length === 1);
    const lists: ServiceList[] = [];
    view.subscribe((list) => void lists.push(list));
    registry.removeInstance('STOCK', registry.instancesOf('STOCK')[0]?.id ?? '');
    await clock.advance(4999);
    expect(lists).toEqual([]);
    await clock.advance(2);
    expect(await until(view, ({ services }) => services.length === 0)).toMatchObject({ state: 'fresh' });
    await view.close();
  });

  test('is watched once for all, and no longer than it is used', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1 });
    const clock = new ManualClock();
    const views = new ServiceViews(optionsFor(await driversOf(registry), clock));
    const [first, second] = [views.list.acquire(), views.list.acquire()];
    expect(first.view).toBe(second.view);
    await until(first.view, ({ state }) => state === 'fresh');
    expect(registry.stats.openWatches).toBe(1);
    first.release();
    first.release();
    await clock.advance(2000);
    expect(registry.stats.openWatches).toBe(1);
    second.release();
    const again = views.list.acquire();
    await clock.advance(2000);
    expect(again.view).toBe(first.view);
    again.release();
    await clock.advance(2000);
    expect(registry.stats.openWatches).toBe(0);
    views.list.acquire();
    expect(registry.stats.openWatches).toBe(1);
    await views.close();
    expect(registry.stats.openWatches).toBe(0);
  });

  test('is not to be had where no backend has one', async () => {
    const [source] = await driversOf(new InMemoryRegistry());
    if (source === undefined) throw new Error('there is one');
    const driver = Object.create(source.driver, { watchServices: { value: undefined } }) as DiscoveryDriver;
    const views = new ServiceViews(optionsFor([{ backend: 'dns', driver }]));
    expect(views.list.isSupported).toBe(false);
  });
});
