import { describe, expect, test } from 'vitest';
import { ValueView } from '../../../lib/backend/index.js';
import {
  Balancer,
  createLoadBalancer,
  FIRST_TRY,
  type Endpoint,
  type Outcome,
  type PickContext,
  type RouteSettings,
} from '../../../lib/balancing/index.js';
import { createServiceInstance, type ServiceInstance, type Snapshot } from '../../../lib/model/index.js';

function instance(
  port: number,
  more: { zone?: string; metadata?: Record<string, string>; tags?: string[] } = {},
): ServiceInstance {
  return createServiceInstance({ service: 'S', host: '10.0.0.1', port, backend: 'test', ...more });
}

function snapshotOf(list: readonly ServiceInstance[]): Snapshot {
  return Object.freeze({ service: 'S', instances: list, state: 'fresh', asOf: 0 });
}

const instances = (count: number): readonly ServiceInstance[] =>
  Array.from({ length: count }, (_, index) => instance(index + 1));

function setUp(
  list: readonly ServiceInstance[],
  { balancing, routing = {}, ejection = {}, clientId = 'test' }: Partial<RouteSettings> & { clientId?: string } = {},
) {
  const clock = { now: 0 };
  const view = new ValueView(snapshotOf(list));
  const balancer = new Balancer(view, { now: () => clock.now, random: Math.random, clientId });
  const fromFirst = createLoadBalancer('round-robin', () => 0);
  const route = balancer.route({ balancing: balancing ?? fromFirst, routing, ejection });
  const update = (instances: readonly ServiceInstance[]): void => view.set(snapshotOf(instances));
  const select = (context: PickContext = FIRST_TRY): Endpoint | undefined => route.select(context);
  const call = (port: number | undefined, outcome: Outcome, tookMs = 1): Endpoint | undefined => {
    for (let i = 0; i < 200; i += 1) {
      const endpoint = route.select(FIRST_TRY);
      if (endpoint === undefined) return undefined;
      if (port !== undefined && endpoint.instance.port !== port) continue;
      const pick = route.begin(endpoint);
      clock.now += tookMs;
      pick.end(outcome);
      return endpoint;
    }
    return undefined;
  };
  const ports = (picks = 200): Map<number, number> => {
    const counts = new Map<number, number>();
    for (let i = 0; i < picks; i += 1) {
      const port = select()?.instance.port ?? 0;
      counts.set(port, (counts.get(port) ?? 0) + 1);
    }
    return counts;
  };
  return { clock, balancer, route, update, select, call, ports };
}

describe('ejection', () => {
  test('five failures in a row: out for 30 s, then one probe, then its full share', () => {
    const { clock, route, call, ports } = setUp(instances(10));
    for (let i = 0; i < 4; i += 1) call(3, 'connection-failure');
    expect(ports().has(3)).toBe(true);
    call(3, 'connection-failure');
    expect(ports().has(3)).toBe(false);
    clock.now += 29_900;
    expect(ports().has(3)).toBe(false);
    clock.now += 200;
    // Back, with one call at a time.
    const probe = Array.from({ length: 10 }, () => route.select(FIRST_TRY)).find((one) => one?.instance.port === 3);
    expect(probe).toBeDefined();
    if (probe === undefined) return;
    const pick = route.begin(probe);
    expect(ports().has(3)).toBe(false);
    pick.succeeded();
    expect(ports(100).get(3)).toBe(10);
  });

  test('who fails its probe is out again, for longer each time and at most 300 s', () => {
    const { clock, call, ports } = setUp(instances(10));
    for (let i = 0; i < 5; i += 1) call(3, 'connection-failure', 0);
    for (const expected of [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300]) {
      clock.now += expected * 1000 - 1;
      expect(ports(30).has(3)).toBe(false);
      clock.now += 1;
      expect(call(3, 'gateway-failure', 0)).toBeDefined();
    }
  });

  test('a success in between starts the count anew; errors of the application and cancelled calls do not count', () => {
    const { call, ports } = setUp(instances(4));
    for (let i = 0; i < 20; i += 1) call(1, i % 4 === 3 ? 'success' : 'connection-failure');
    for (let i = 0; i < 20; i += 1) call(2, 'application-failure');
    for (let i = 0; i < 20; i += 1) call(3, 'cancelled');
    expect(ports().size).toBe(4);
    const strict = setUp(instances(4), { ejection: { applicationErrors: true } });
    for (let i = 0; i < 5; i += 1) strict.call(2, 'application-failure');
    expect(strict.ports().size).toBe(3);
  });

  test('never more than a tenth, but always one', () => {
    const { call, ports } = setUp(instances(30));
    for (let port = 1; port <= 10; port += 1) for (let i = 0; i < 6; i += 1) call(port, 'connection-failure', 0);
    expect(ports(600).size).toBe(27);
    const small = setUp(instances(3));
    for (let port = 1; port <= 3; port += 1) for (let i = 0; i < 6; i += 1) small.call(port, 'connection-failure', 0);
    expect(small.ports().size).toBe(2);
  });

  test('when more than half are out, or all, everybody is used', () => {
    const { call, ports } = setUp(instances(4), { ejection: { maxShare: 1 } });
    for (let port = 1; port <= 2; port += 1) for (let i = 0; i < 6; i += 1) call(port, 'connection-failure', 0);
    expect(ports().size).toBe(2);
    for (let i = 0; i < 6; i += 1) call(3, 'connection-failure', 0);
    expect(ports().size).toBe(4);
    const only = setUp(instances(1));
    for (let i = 0; i < 9; i += 1) expect(only.call(1, 'connection-failure', 0)).toBeDefined();
  });

  test('one whose share of successes is far below the others’ is out, though it never fails five times in a row', () => {
    const { clock, call, ports } = setUp(instances(10));
    for (let round = 0; round < 120; round += 1) {
      for (let port = 1; port <= 10; port += 1) {
        call(port, port === 4 && round % 2 === 0 ? 'gateway-failure' : 'success', 0);
      }
    }
    expect(ports().has(4)).toBe(true);
    clock.now += 10_000;
    call(1, 'success');
    expect(ports().has(4)).toBe(false);
  });

  test('a list that changes forgets nothing', () => {
    const { update, call, ports } = setUp(instances(10));
    for (let i = 0; i < 5; i += 1) call(3, 'connection-failure');
    update([...instances(10), instance(11)]);
    expect(ports().has(3)).toBe(false);
    expect(ports().has(11)).toBe(true);
  });

  test('an instance that asks to be left alone is', () => {
    const { clock, balancer, select, ports } = setUp(instances(2));
    const endpoint = select();
    if (endpoint === undefined) return;
    balancer.pushBack(endpoint, 2000);
    expect(ports().has(endpoint.instance.port)).toBe(false);
    clock.now += 2000;
    select();
    expect(ports().size).toBe(2);
  });

  test('off, everybody stays in', () => {
    const { call, ports } = setUp(instances(3), { ejection: false });
    for (let i = 0; i < 9; i += 1) call(1, 'connection-failure');
    expect(ports().size).toBe(3);
  });
});

describe('routing', () => {
  const zoned = [1, 2, 3, 4].map((port) => instance(port, { zone: port <= 2 ? 'a' : 'b' }));

  test('the own zone is preferred; without it, or without an instance there, all are used', () => {
    expect(
      [
        ...setUp(zoned, { routing: { zone: 'a' } })
          .ports()
          .keys(),
      ].sort(),
    ).toEqual([1, 2]);
    expect(setUp(zoned, { routing: { zone: 'c' } }).ports().size).toBe(4);
    expect(setUp(zoned).ports().size).toBe(4);
  });

  test('a zone that is short spills the part that it lacks', () => {
    const all = Array.from({ length: 20 }, (_, index) => instance(index + 1, { zone: index < 10 ? 'a' : 'b' }));
    const { update, ports } = setUp(all, { routing: { zone: 'a' } });
    // Four of ten are left in the zone: 1.4 × 0.4 of the calls stay.
    update(
      all.map((one) => (one.port > 4 && one.port <= 10 ? createServiceInstance({ ...one, status: 'DOWN' }) : one)),
    );
    let near = 0;
    for (const [port, count] of ports(20_000)) if (port <= 4) near += count;
    expect(Math.abs(near / 20_000 - 0.56)).toBeLessThan(0.02);
  });

  test('tags narrow strictly, all of them', () => {
    const list = [['a'], ['a', 'b'], ['b', 'a', 'c'], []].map((tags, at) => instance(at + 1, { tags }));
    const portsWith = (tags: string[]): number[] => [...setUp(list, { routing: { tags } }).ports().keys()].sort();
    expect(portsWith(['a', 'b'])).toEqual([2, 3]);
    expect(portsWith([])).toEqual([1, 2, 3, 4]);
    expect(setUp(list, { routing: { tags: ['d'] } }).select()).toBeUndefined();
  });

  test('metadata narrows strictly, a hint only if it can', () => {
    const list = [1, 2, 3].map((port) =>
      instance(port, { metadata: { version: port === 1 ? '1' : '2', hint: `h${port}` } }),
    );
    expect(
      [
        ...setUp(list, { routing: { metadata: { version: '2' } } })
          .ports()
          .keys(),
      ].sort(),
    ).toEqual([2, 3]);
    expect(setUp(list, { routing: { metadata: { version: '9' } } }).select()).toBeUndefined();
    const { select } = setUp(list);
    for (let i = 0; i < 5; i += 1) expect(select({ hint: 'h3' })?.instance.port).toBe(3);
    expect(select({ hint: 'nobody' })).toBeDefined();
  });

  test('a subset is as small as told, differs between clients, and changes as little as it must', () => {
    const list = instances(100);
    const subsetOf = (clientId: string, all: readonly ServiceInstance[]): Set<number> =>
      new Set(
        setUp(all, { clientId, routing: { subset: 10 } })
          .ports(50)
          .keys(),
      );
    const one = subsetOf('one', list);
    expect(one.size).toBe(10);
    expect(subsetOf('two', list)).not.toEqual(one);
    const without = list.filter(({ port }) => port !== [...one][0]);
    const after = subsetOf('one', without);
    expect([...after].filter((port) => one.has(port))).toHaveLength(9);
  });

  test('a new instance begins with a tenth and has its full share after the time; the first ones do not', () => {
    const { clock, update, ports } = setUp(instances(4), { routing: { warmUpMs: 10_000 } });
    expect(ports(400).get(1)).toBe(100);
    update(instances(5));
    const early = ports(10_000).get(5) ?? 0;
    expect(early / 10_000).toBeLessThan(0.05);
    expect(early).toBeGreaterThan(50);
    clock.now += 5000;
    const half = ports(10_000).get(5) ?? 0;
    expect(half / 10_000).toBeGreaterThan(0.07);
    clock.now += 5000;
    expect((ports(10_000).get(5) ?? 0) / 10_000).toBeCloseTo(0.2, 2);
  });
});
