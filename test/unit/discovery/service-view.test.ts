import { describe, expect, test } from 'vitest';
import {
  Balancer,
  createLoadBalancer,
  FIRST_TRY,
  routableInstances,
  type LoadBalancer,
} from '../../../lib/balancing/index.js';
import type { DiscoveryDriver, DiscoveryReport } from '../../../lib/backend/index.js';
import { ServiceView, ServiceViews } from '../../../lib/discovery/index.js';
import {
  createServiceInstance,
  DiscoveryError,
  type DiscoveryEvent,
  type InstanceStatus,
  type ServiceInstance,
  type Snapshot,
} from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

function instance(
  port: number,
  more: { status?: InstanceStatus; weight?: number; service?: string } = {},
): ServiceInstance {
  return createServiceInstance({ service: 'S', host: '10.0.0.1', port, backend: 'a', ...more });
}

const outage = new DiscoveryError('BACKEND_UNAVAILABLE', 'the registry is down');

/** A driver whose reports are the test's. */
class ScriptedDriver implements DiscoveryDriver {
  report: (report: DiscoveryReport) => void = () => {};
  readonly watched: string[] = [];
  refreshes = 0;
  open = 0;
  onRefresh: () => Promise<void> = async () => {};

  async listServices(): Promise<readonly string[]> {
    return [];
  }

  watch(service: string, report: (report: DiscoveryReport) => void) {
    this.watched.push(service);
    this.report = report;
    this.open += 1;
    return {
      refresh: () => {
        this.refreshes += 1;
        return this.onRefresh();
      },
      close: async () => {
        this.open -= 1;
      },
    };
  }
}

function setUp(
  more: { emptyProtectionMs?: number | false; nameFor?: (service: string, backend: string) => string } = {},
) {
  const clock = new ManualClock();
  const [a, b] = [new ScriptedDriver(), new ScriptedDriver()];
  const events: DiscoveryEvent[] = [];
  const options = {
    clock,
    sources: [
      { backend: 'a', driver: a },
      { backend: 'b', driver: b },
    ],
    report: (event: DiscoveryEvent) => void events.push(event),
    lingerMs: 30_000,
    ...more,
  };
  return { clock, a, b, events, options };
}

describe('ServiceView', () => {
  test('unknown, empty and failed are told apart', async () => {
    const { a, b, options } = setUp();
    const view = new ServiceView('S', options);
    expect(view.current).toMatchObject({ state: 'unknown', instances: [] });
    a.report({ error: outage });
    expect(view.current).toMatchObject({ state: 'unknown', error: outage });
    b.report({ instances: [] });
    expect(view.current).toMatchObject({ state: 'fresh', instances: [], partial: ['a'] });
    await view.close();
  });

  test('an outage keeps the list, as stale, and one backend’s failure hides nothing of the other', () => {
    const { a, b, options } = setUp();
    const view = new ServiceView('S', options);
    a.report({ instances: [instance(1)] });
    b.report({ instances: [instance(2)] });
    a.report({ error: outage });
    expect(view.current.instances.map(({ port }) => port).sort()).toEqual([1, 2]);
    expect(view.current).toMatchObject({ state: 'fresh', partial: ['a'] });
    b.report({ error: outage });
    expect(view.current.state).toBe('stale');
    expect(view.current.instances).toHaveLength(2);
  });

  test('a backend that answers again is told, also when its list is the one of before', () => {
    const { a, b, events, options } = setUp();
    const view = new ServiceView('S', options);
    b.report({ instances: [] });
    for (let outages = 1; outages < 3; outages += 1) {
      a.report({ error: outage });
      for (let i = 0; i < 3; i += 1) a.report({ instances: [instance(1)] });
      const over = events.filter(({ type }) => type === 'instances.recovered');
      expect(over).toEqual(
        Array.from({ length: outages }, () => ({ type: over[0]?.type, service: 'S', backend: 'a' })),
      );
    }
    expect(view.current.state).toBe('fresh');
  });

  test('equal reports tell nobody, and instances keep their identity', () => {
    const { a, b, options, events } = setUp();
    const view = new ServiceView('S', options);
    b.report({ instances: [] });
    a.report({ instances: [instance(1), instance(2)] });
    const [first] = view.current.instances;
    const seen: Snapshot[] = [];
    view.subscribe((snapshot) => seen.push(snapshot));
    a.report({ instances: [instance(1), instance(2)] });
    expect(seen).toEqual([]);
    a.report({ instances: [instance(1), instance(3)] });
    expect(seen).toHaveLength(1);
    expect(view.current.instances[0]).toBe(first);
    expect(events.filter(({ type }) => type === 'instances.changed')).toHaveLength(2);
  });

  test('instances are called as the service was asked for', () => {
    const { a, options } = setUp({ nameFor: (service, backend) => `${backend}-${service}` });
    const view = new ServiceView('S', options);
    expect(a.watched).toEqual(['a-S']);
    a.report({ instances: [instance(1, { service: 'a-S' })] });
    expect(view.current.instances[0]?.service).toBe('S');
  });

  test('settled: at the first instances, when all have answered, or in time', async () => {
    const first = setUp();
    const view = new ServiceView('S', first.options);
    const settled = view.settled(1000);
    first.a.report({ instances: [instance(1)] });
    expect((await settled).instances).toHaveLength(1);

    const second = setUp();
    const empty = new ServiceView('S', second.options);
    const both = empty.settled(1000);
    second.a.report({ instances: [] });
    second.b.report({ error: outage });
    expect((await both).state).toBe('fresh');

    const third = setUp();
    const silent = new ServiceView('S', third.options).settled(1000);
    await third.clock.advance(1000);
    expect((await silent).state).toBe('unknown');
    expect(third.clock.pending).toBe(0);
  });

  test('an unexpected empty list is believed when a second read confirms it', async () => {
    const { clock, a, b, options } = setUp({ emptyProtectionMs: 500 });
    const view = new ServiceView('S', options);
    b.report({ instances: [] });
    a.report({ instances: [instance(1)] });
    a.onRefresh = async () => a.report({ instances: [] });
    a.report({ instances: [] });
    expect(view.current.instances).toHaveLength(1);
    await clock.advance(500);
    expect(a.refreshes).toBe(1);
    expect(view.current.instances).toEqual([]);
    await view.close();
    expect(clock.pending).toBe(0);
  });

  test.each([
    ['the backend’s time, unless the app says another', {}, 20_000],
    ['the app’s time', { emptyProtectionMs: 700 }, 700],
    ['no time when the app wants none', { emptyProtectionMs: false as const }, 0],
  ])('an unexpected empty list is doubted for %s', async (_, more, holdMs) => {
    const { clock, a, b, options } = setUp(more);
    Object.assign(a, { emptyHoldMs: 20_000 });
    const view = new ServiceView('S', options);
    b.report({ instances: [] });
    a.report({ instances: [instance(1)] });
    a.onRefresh = async () => a.report({ instances: [] });
    a.report({ instances: [] });
    if (holdMs > 0) await clock.advance(holdMs - 1);
    expect(view.current.instances).toHaveLength(holdMs > 0 ? 1 : 0);
    await clock.advance(1);
    expect(view.current.instances).toEqual([]);
    await view.close();
    expect(clock.pending).toBe(0);
  });

  test('a driver whose empty lists are certain is believed at once', () => {
    const { a, b, options } = setUp({ emptyProtectionMs: 500 });
    Object.assign(a, { emptyIsCertain: true });
    const view = new ServiceView('S', options);
    b.report({ instances: [] });
    a.report({ instances: [instance(1)] });
    a.report({ instances: [] });
    expect(view.current.instances).toEqual([]);
  });

  test('refresh fails only when every backend does', async () => {
    const { a, b, options } = setUp();
    const view = new ServiceView('S', options);
    a.onRefresh = () => Promise.reject(outage);
    await view.refresh();
    b.onRefresh = () => Promise.reject(outage);
    await expect(view.refresh()).rejects.toBe(outage);
  });

  test('after close nothing is told, and who waits is released', async () => {
    const { a, options } = setUp();
    const view = new ServiceView('S', options);
    const waiting = view.settled(1000);
    await view.close();
    await waiting;
    a.report({ instances: [instance(1)] });
    expect(view.current.instances).toEqual([]);
  });
});

describe('ServiceViews', () => {
  test('one watch a service, which lingers and is then closed', async () => {
    const { clock, a, options } = setUp();
    const views = new ServiceViews(options);
    const [first, second] = [views.acquire('S'), views.acquire('S')];
    expect(second.view).toBe(first.view);
    expect(a.open).toBe(1);
    first.release();
    first.release();
    second.release();
    await clock.advance(29_999);
    expect(a.open).toBe(1);
    const third = views.acquire('S');
    await clock.advance(60_000);
    expect(third.view).toBe(first.view);
    third.release();
    await clock.advance(30_000);
    expect([a.open, views.watched]).toEqual([0, []]);
    views.acquire('S');
    await views.close();
    expect([a.open, clock.pending]).toEqual([0, 0]);
    expect(() => views.acquire('S')).toThrow(expect.objectContaining({ code: 'BACKEND_CLOSED' }));
    expect(() => new ServiceViews(options).acquire('__proto__')).toThrow(
      expect.objectContaining({ code: 'INVALID_NAME' }),
    );
  });
});

describe('Balancer', () => {
  test('builds its picker once per list, of instances that may be called', () => {
    const { a, b, options } = setUp();
    const view = new ServiceView('S', options);
    let built = 0;
    const random = createLoadBalancer('random');
    const balancing: LoadBalancer = {
      createPicker: (endpoints, previous) => {
        built += 1;
        return random.createPicker(endpoints, previous);
      },
    };
    const balancer = new Balancer(view, { now: () => 0, random: Math.random, clientId: 'test' });
    const route = balancer.route({ balancing, routing: {}, ejection: {} });
    expect(route.select(FIRST_TRY)).toBeUndefined();
    b.report({ instances: [] });
    a.report({ instances: [instance(1), instance(2, { status: 'DOWN' }), instance(3, { weight: 0 })] });
    for (let i = 0; i < 20; i += 1) expect(route.select(FIRST_TRY)?.instance.port).toBe(1);
    a.report({ error: outage });
    expect(route.select(FIRST_TRY)?.instance.port).toBe(1);
    expect(built).toBe(2);
    expect(routableInstances(view.current)).toBe(routableInstances(view.current));
  });
});
