import { describe, expect, test } from 'vitest';
import { ValueView } from '../../../lib/backend/index.js';
import { Balancer, STRATEGIES, type PickContext, type RoutingOptions } from '../../../lib/balancing/index.js';
import { createServiceInstance, type ServiceInstance, type Snapshot } from '../../../lib/model/index.js';

let port = 0;
const instance = (metadata: Record<string, string>, more: { zone?: string } = {}): ServiceInstance =>
  createServiceInstance({ service: 'S', host: '10.0.0.1', port: (port += 1), backend: 'test', metadata, ...more });

const base = (): ServiceInstance => instance({});
const lane = (name: string): ServiceInstance => instance({ lane: name });

function setUp(
  list: readonly ServiceInstance[],
  routing: RoutingOptions,
  balancing: (typeof STRATEGIES)[number] = 'random',
) {
  const snapshot = (instances: readonly ServiceInstance[]): Snapshot => ({
    service: 'S',
    instances,
    state: 'fresh',
    asOf: 0,
  });
  const view = new ValueView(snapshot(list));
  const balancer = new Balancer(view, { now: () => 0, random: Math.random, clientId: 'test' });
  const route = balancer.route({ balancing, routing, ejection: {} });
  return {
    route,
    update: (instances: readonly ServiceInstance[]) => view.set(snapshot(instances)),
    /** Lanes (or versions) of those that many picks gave, each once. */
    reached: (context: PickContext = {}, metadata = 'lane', picks = 200): string[] => {
      const found = new Set<string>();
      for (let i = 0; i < picks; i += 1) {
        const one = route.select(context)?.instance;
        found.add(one === undefined ? 'nobody' : (one.metadata[metadata] ?? 'base'));
      }
      return [...found].toSorted();
    },
  };
}

describe('lanes', () => {
  test.each(STRATEGIES)('are apart: each call reaches its own, or the base (%s)', (strategy) => {
    const { reached } = setUp([base(), base(), lane('alice'), lane('bob')], { lane: {} }, strategy);
    expect(reached()).toEqual(['base']);
    expect(reached({ lane: 'alice' })).toEqual(['alice']);
    expect(reached({ lane: 'bob', key: 'a key' })).toEqual(['bob']);
    expect(reached({ lane: 'carla' })).toEqual(['base']);
  });

  test.each([
    ['base', { lane: 'carla' }, ['base']],
    ['none', { lane: 'carla' }, ['nobody']],
    ['any', { lane: 'carla' }, ['alice', 'base']],
    ['none', {}, ['base']],
    ['any', {}, ['base']],
    ['any', { lane: 'alice' }, ['alice']],
  ] as const)('fall back to %s with %j: %j', (fallback, context, expected) => {
    const { reached } = setUp([base(), lane('alice')], { lane: { fallback } });
    expect(reached(context)).toEqual(expected);
  });

  test('are no isolation when that is off, as hints are not', () => {
    const { reached } = setUp([base(), lane('alice')], { lane: { isolate: false } });
    expect(reached()).toEqual(['alice', 'base']);
    expect(reached({ lane: 'alice' })).toEqual(['alice']);
  });

  test('are left by no call that has none, though nobody else is there', () => {
    expect(setUp([lane('alice')], { lane: {} }).reached()).toEqual(['nobody']);
  });

  test('come and go with the list', () => {
    const { reached, update } = setUp([base()], { lane: {} });
    expect(reached({ lane: 'alice' })).toEqual(['base']);
    const members = [base(), lane('alice')];
    update(members);
    expect(reached({ lane: 'alice' })).toEqual(['alice']);
    update(members.slice(0, 1));
    expect(reached({ lane: 'alice' })).toEqual(['base']);
  });

  test('a retry leaves its lane for the base when all of it was tried, and the base for nobody', () => {
    const members = [base(), lane('alice'), lane('bob')];
    const { route } = setUp(members, { lane: {} });
    const urls = members.map(({ url }) => url);
    const tried = new Set(urls.slice(1, 2));
    expect(route.select({ lane: 'alice', tried })?.instance.url).toBe(urls[0]);
    const both = new Set(urls.slice(0, 2));
    expect(both).toContain(route.select({ lane: 'alice', tried: both })?.instance.url);
    const strict = setUp(members, { lane: { fallback: 'none' } }).route;
    expect(strict.select({ lane: 'alice', tried })?.instance.url).toBe(urls[1]);
  });

  test('whose instances are all left out for failures are called in the base', () => {
    const members = [base(), base(), lane('alice')];
    const { route, reached } = setUp(members, { lane: {} });
    for (let i = 0; i < 5; i += 1) {
      const endpoint = route.select({ lane: 'alice' });
      if (endpoint !== undefined) route.begin(endpoint).end('connection-failure');
    }
    expect(reached({ lane: 'alice' })).toEqual(['base']);
  });

  test('keep to the zone within the lane, which counts its own members only', () => {
    const near = instance({ lane: 'alice' }, { zone: 'a' });
    const far = instance({ lane: 'alice' }, { zone: 'b' });
    const others = Array.from({ length: 9 }, () => instance({}, { zone: 'a' }));
    const { route } = setUp([near, far, ...others], { zone: 'a', lane: {} });
    for (let i = 0; i < 50; i += 1) expect(route.select({ lane: 'alice' })?.instance).toBe(near);
  });

  test('are reached whatever part of the base a client uses', () => {
    const members = [...Array.from({ length: 20 }, base), lane('alice')];
    const { reached } = setUp(members, { lane: {}, subset: 2 });
    expect(reached({ lane: 'alice' })).toEqual(['alice']);
    expect(reached()).toEqual(['base']);
  });

  test('of 10,000 names build nothing, and of 200 that exist all are right', () => {
    let built = 0;
    const members = [base(), ...Array.from({ length: 200 }, (_, index) => lane(`lane-${index}`))];
    const view = new ValueView<Snapshot>({ service: 'S', instances: members, state: 'fresh', asOf: 0 });
    const balancer = new Balancer(view, { now: () => 0, random: Math.random, clientId: 'test' });
    const createPicker = (endpoints: readonly { readonly instance: ServiceInstance }[]) => {
      built += 1;
      return { pick: () => endpoints[0] as never };
    };
    const route = balancer.route({ balancing: { createPicker }, routing: { lane: {} }, ejection: {} });
    for (let i = 0; i < 10_000; i += 1) {
      expect(route.select({ lane: `unknown-${i}` })?.instance.metadata['lane']).toBeUndefined();
    }
    expect(built).toBe(1);
    for (let i = 0; i < 200; i += 1) {
      expect(route.select({ lane: `lane-${i}` })?.instance.metadata['lane']).toBe(`lane-${i}`);
    }
  });
});

describe('versions', () => {
  const v = (version: string, more: Record<string, string> = {}): ServiceInstance => instance({ version, ...more });

  test('lead to whoever serves them, and nowhere else unless that is asked for', () => {
    const members = [v('1'), v('1, 2'), base()];
    const { reached } = setUp(members, { version: {} });
    expect(reached({ version: '1' }, 'version')).toEqual(['1', '1, 2']);
    expect(reached({ version: '2' }, 'version')).toEqual(['1, 2']);
    expect(reached({ version: '3' }, 'version')).toEqual(['nobody']);
    expect(reached({}, 'version')).toEqual(['1', '1, 2', 'base']);
    expect(setUp(members, { version: { fallback: 'any' } }).reached({ version: '3' }, 'version')).toHaveLength(3);
    expect(setUp(members, { version: { default: '2' } }).reached({}, 'version')).toEqual(['1, 2']);
  });

  test('and lanes hold together', () => {
    const members = [v('1'), v('2'), v('2', { lane: 'alice' })];
    const { reached } = setUp(members, { version: {}, lane: {} });
    expect(reached({ version: '2', lane: 'alice' })).toEqual(['alice']);
    expect(reached({ version: '2' })).toEqual(['base']);
    expect(reached({ version: '1', lane: 'alice' }, 'version')).toEqual(['1']);
  });
});
