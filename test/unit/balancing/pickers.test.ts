import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createLoadBalancer,
  FIRST_TRY,
  STRATEGIES,
  TrackedEndpoint,
  type Endpoint,
} from '../../../lib/balancing/index.js';
import { createServiceInstance, type ServiceInstance } from '../../../lib/model/index.js';

function instance(port: number, weight = 1): ServiceInstance {
  return createServiceInstance({ service: 'S', host: '10.0.0.1', port, weight, backend: 'test' });
}

function instances(count: number): readonly TrackedEndpoint[] {
  return Array.from({ length: count }, (_, index) => new TrackedEndpoint(instance(index + 1), 0));
}

const portOf = (endpoint: Endpoint | undefined): number | undefined => endpoint?.instance.port;

const counts = (picked: readonly (Endpoint | undefined)[]): Map<number | undefined, number> => {
  const result = new Map<number | undefined, number>();
  for (const endpoint of picked) result.set(portOf(endpoint), (result.get(portOf(endpoint)) ?? 0) + 1);
  return result;
};

describe('round robin', () => {
  test('over k·n picks each instance is picked k times', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 5 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, k, seed) => {
          const picker = createLoadBalancer('round-robin', () => seed).createPicker(instances(n), undefined);
          const picked = counts(Array.from({ length: n * k }, () => picker.pick(FIRST_TRY, 0)));
          expect(new Set(picked.values())).toEqual(new Set([k]));
          expect(picked.size).toBe(n);
        },
      ),
    );
  });

  test('clients that start together begin anywhere', () => {
    const list = instances(10);
    const firsts = new Set(
      Array.from({ length: 200 }, () =>
        portOf(createLoadBalancer('round-robin').createPicker(list, undefined).pick(FIRST_TRY, 0)),
      ),
    );
    expect(firsts.size).toBeGreaterThan(5);
  });

  test('a new list carries the position on', () => {
    const balancer = createLoadBalancer('round-robin', () => 0);
    const before = balancer.createPicker(instances(4), undefined);
    before.pick(FIRST_TRY, 0);
    before.pick(FIRST_TRY, 0);
    expect(portOf(balancer.createPicker(instances(5), before).pick(FIRST_TRY, 0))).toBe(3);
    expect(portOf(balancer.createPicker(instances(1), before).pick(FIRST_TRY, 0))).toBe(1);
  });
});

describe.for(STRATEGIES)('%s', (strategy) => {
  test('an empty list gives nothing', () => {
    expect(createLoadBalancer(strategy).createPicker([], undefined).pick(FIRST_TRY, 0)).toBeUndefined();
  });

  test('a retry gets an instance that was not tried, while there is one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(), (n, seed) => {
        const list = instances(n);
        const picker = createLoadBalancer(strategy, () => (seed % 97) / 97).createPicker(list, undefined);
        const tried = new Set<string>();
        for (let i = 0; i < n; i += 1) {
          const instance = picker.pick({ tried, key: 'k' }, 0)?.instance;
          expect(tried.has(instance?.url ?? '')).toBe(false);
          tried.add(instance?.url ?? '');
        }
        expect(tried.size).toBe(n);
        expect(picker.pick({ tried }, 0)).toBeDefined();
      }),
    );
  });
});

describe('random', () => {
  test('every instance is as likely as the others', () => {
    const picker = createLoadBalancer('random').createPicker(instances(4), undefined);
    const picked = counts(Array.from({ length: 8000 }, () => picker.pick(FIRST_TRY, 0)));
    // Five standard deviations around 2,000.
    for (const count of picked.values()) expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(8000 * 0.25 * 0.75));
  });
});

describe('a function', () => {
  const list = instances(3);

  test('decides', () => {
    const picker = createLoadBalancer((all) => all[2]).createPicker(list, undefined);
    expect(picker.pick(FIRST_TRY, 0)).toBe(list[2]);
  });

  test('that declines, or names somebody else, leaves the choice to chance', () => {
    const stranger = createServiceInstance({ service: 'S', host: '10.9.9.9', port: 1, backend: 'test' });
    for (const choose of [() => undefined, () => stranger]) {
      expect(list).toContain(createLoadBalancer(choose).createPicker(list, undefined).pick(FIRST_TRY, 0));
    }
  });

  test('is not asked about nobody', () => {
    let asked = false;
    createLoadBalancer(() => void (asked = true))
      .createPicker([], undefined)
      .pick(FIRST_TRY, 0);
    expect(asked).toBe(false);
  });
});

test('a strategy that does not exist is an error that names those that do', () => {
  expect(() => createLoadBalancer('best' as never)).toThrow(/'round-robin', 'random', .* or a function, got 'best'/);
});
