import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createLoadBalancer,
  FIRST_TRY,
  TrackedEndpoint,
  type BalancingStrategy,
  type Endpoint,
} from '../../../lib/balancing/index.js';
import { createServiceInstance } from '../../../lib/model/index.js';

const endpoint = (port: number, weight = 1): TrackedEndpoint =>
  new TrackedEndpoint(createServiceInstance({ service: 'S', host: '10.0.0.1', port, weight, backend: 'test' }), 0);
const list = (count: number): readonly TrackedEndpoint[] =>
  Array.from({ length: count }, (_, index) => endpoint(index + 1));

/** Where keys go, by the port of their endpoint. */
function mapKeys(strategy: BalancingStrategy, endpoints: readonly Endpoint[], keys: readonly string[]): number[] {
  const picker = createLoadBalancer(strategy).createPicker(endpoints, undefined);
  return keys.map((key) => picker.pick({ key }, 0)?.instance.port ?? 0);
}

describe('weighted', () => {
  test('each gets its share', () => {
    const endpoints = [endpoint(1, 1), endpoint(2, 3), endpoint(3, 6)];
    const picker = createLoadBalancer('weighted').createPicker(endpoints, undefined);
    const counts = new Map<number, number>();
    const total = 20_000;
    for (let i = 0; i < total; i += 1) {
      const port = picker.pick(FIRST_TRY, 0)?.instance.port ?? 0;
      counts.set(port, (counts.get(port) ?? 0) + 1);
    }
    for (const [port, share] of [
      [1, 0.1],
      [2, 0.3],
      [3, 0.6],
    ] as const) {
      const deviation = Math.sqrt(total * share * (1 - share));
      expect(Math.abs((counts.get(port) ?? 0) - total * share)).toBeLessThan(5 * deviation);
    }
  });

  test('the alias table holds exactly the weights, whatever they are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 }),
        (weights) => {
          // Every position of the draw in equal steps: the shares come out without chance.
          const steps = weights.length * 2000;
          let position = 0;
          const picker = createLoadBalancer('weighted', () => (position + 0.5) / steps).createPicker(
            weights.map((weight, index) => endpoint(index + 1, weight)),
            undefined,
          );
          const counts = new Map<number, number>();
          for (; position < steps; position += 1) {
            const port = picker.pick(FIRST_TRY, 0)?.instance.port ?? 0;
            counts.set(port, (counts.get(port) ?? 0) + 1);
          }
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          weights.forEach((weight, index) => {
            expect(Math.abs((counts.get(index + 1) ?? 0) / steps - weight / total)).toBeLessThan(0.002);
          });
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('stick and other', () => {
  test('stick stays until its endpoint has gone, or fails the call', () => {
    const endpoints = list(5);
    const balancer = createLoadBalancer('stick');
    const picker = balancer.createPicker(endpoints, undefined);
    const first = picker.pick(FIRST_TRY, 0);
    for (let i = 0; i < 20; i += 1) expect(picker.pick(FIRST_TRY, 0)).toBe(first);
    expect(balancer.createPicker([...endpoints, endpoint(6)], picker).pick(FIRST_TRY, 0)).toBe(first);
    const rest = endpoints.filter((one) => one !== first);
    expect(rest).toContain(balancer.createPicker(rest, picker).pick(FIRST_TRY, 0));
    const second = picker.pick({ tried: new Set([first?.instance.url ?? '']) }, 0);
    expect(second).not.toBe(first);
    expect(picker.pick(FIRST_TRY, 0)).toBe(second);
  });

  test('other is never the same twice in a row, and reaches all', () => {
    const picker = createLoadBalancer('other').createPicker(list(4), undefined);
    const seen = new Set<Endpoint | undefined>();
    let last: Endpoint | undefined;
    for (let i = 0; i < 500; i += 1) {
      const next = picker.pick(FIRST_TRY, 0);
      expect(next).not.toBe(last);
      seen.add((last = next));
    }
    expect(seen.size).toBe(4);
    const [only] = list(1);
    expect(
      createLoadBalancer('other')
        .createPicker(only === undefined ? [] : [only], undefined)
        .pick(FIRST_TRY, 0),
    ).toBe(only);
  });
});

describe('least-pending', () => {
  test('always one of those with the fewest calls under way, however calls begin and end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.nat(15), { maxLength: 200 }), (count, steps) => {
        const endpoints = list(count);
        const picker = createLoadBalancer('least-pending').createPicker(endpoints, undefined);
        for (const step of steps) {
          const picked = picker.pick(FIRST_TRY, 0);
          const fewest = Math.min(...endpoints.map(({ pending }) => pending));
          expect(picked?.pending).toBe(fewest);
          const busy = endpoints.filter(({ pending }) => pending > 0);
          const ends = step > 8 ? busy[step % Math.max(busy.length, 1)] : undefined;
          const changed = ends ?? endpoints.find((one) => one === picked);
          if (changed === undefined) continue;
          changed.pending += ends === undefined ? 1 : -1;
          picker.pendingChanged?.(changed);
        }
      }),
    );
  });
});

describe('p2c', () => {
  test('a node ten times slower gets less than a fifth of its fair share', () => {
    const endpoints = list(10);
    const picker = createLoadBalancer('p2c').createPicker(endpoints, undefined);
    let slow = 0;
    const total = 20_000;
    for (let i = 0; i < total; i += 1) {
      const now = i;
      const picked = picker.pick(FIRST_TRY, now) as TrackedEndpoint | undefined;
      if (picked === undefined) continue;
      const isSlow = picked === endpoints[0];
      if (isSlow) slow += 1;
      picked.measure(now, isSlow ? 100 : 10, false);
    }
    expect(slow).toBeGreaterThan(0);
    expect(slow / total).toBeLessThan(0.1 / 5);
  });

  test('of two bad ones neither, while there are good ones', () => {
    const endpoints = list(10);
    const [slow, failing] = endpoints;
    const picker = createLoadBalancer('p2c').createPicker(endpoints, undefined);
    for (let now = 1; now <= 100; now += 1) {
      for (const one of endpoints) one.measure(now, one === slow ? 100 : 10, one === failing);
    }
    for (const one of endpoints) one.pickedAt = 100;
    const counts = new Map<Endpoint | undefined, number>();
    const total = 20_000;
    // Within the time after which the unpicked are probed.
    for (let i = 0; i < total; i += 1) {
      const picked = picker.pick(FIRST_TRY, 101);
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    // The two are drawn together in one of 45 draws.
    expect(((counts.get(slow) ?? 0) + (counts.get(failing) ?? 0)) / total).toBeLessThan(1 / 45 / 5);
  });

  test('one that was slow is tried again after a while, and comes back when it is fast', () => {
    const [slow, fast] = list(2);
    if (slow === undefined || fast === undefined) return;
    const picker = createLoadBalancer('p2c').createPicker([slow, fast], undefined);
    slow.measure(1, 1000, false);
    fast.measure(1, 10, false);
    slow.pickedAt = fast.pickedAt = 1;
    expect(picker.pick(FIRST_TRY, 2)).toBe(fast);
    fast.pickedAt = 3100;
    expect(picker.pick(FIRST_TRY, 3100)).toBe(slow);
    slow.pickedAt = 3100;
    for (let now = 3100; now < 200_000; now += 100) slow.measure(now, 1, false);
    expect(picker.pick(FIRST_TRY, 3200)).toBe(slow);
  });

  test('one that fails fast is not taken for a fast one', () => {
    const [failing, good] = list(2);
    if (failing === undefined || good === undefined) return;
    const picker = createLoadBalancer('p2c').createPicker([failing, good], undefined);
    for (let now = 1; now < 50; now += 1) {
      failing.measure(now, 1, true);
      good.measure(now, 20, false);
    }
    failing.pickedAt = good.pickedAt = 50;
    expect(picker.pick(FIRST_TRY, 51)).toBe(good);
  });
});

describe('consistent-hash', () => {
  const keys = Array.from({ length: 5000 }, (_, index) => `user-${index}`);

  test('spreads keys evenly, and one that comes moves about its share of them', () => {
    const endpoints = list(10);
    const before = mapKeys('consistent-hash', endpoints, keys);
    const counts = new Map<number, number>();
    for (const port of before) counts.set(port, (counts.get(port) ?? 0) + 1);
    expect(Math.min(...counts.values())).toBeGreaterThan(350);
    expect(Math.max(...counts.values())).toBeLessThan(650);
    // Another client, whose registry lists them in another order, sends the keys to the same instances.
    expect(mapKeys('consistent-hash', endpoints.toReversed(), keys)).toEqual(before);
    const after = mapKeys('consistent-hash', [...endpoints, endpoint(11)], keys);
    const moved = before.filter((port, index) => port !== after[index]).length;
    // A share of 1 / 11 has to move; Maglev moves a little more.
    expect(moved / keys.length).toBeLessThan(0.2);
  });

  test('a call without a key goes anywhere; one whose endpoint failed goes elsewhere', () => {
    const endpoints = list(5);
    const picker = createLoadBalancer('consistent-hash').createPicker(endpoints, undefined);
    expect(new Set(Array.from({ length: 200 }, () => picker.pick(FIRST_TRY, 0))).size).toBe(5);
    const home = picker.pick({ key: 'k' }, 0);
    expect(picker.pick({ key: 'k', tried: new Set([home?.instance.url ?? '']) }, 0)).not.toBe(home);
  });
});

describe('sticky', () => {
  test('a key stays where it is when others come, and moves when its endpoint has gone', () => {
    const keys = Array.from({ length: 300 }, (_, index) => `cart-${index}`);
    const balancer = createLoadBalancer('sticky');
    const endpoints = list(3);
    const first = balancer.createPicker(endpoints, undefined);
    const homes = keys.map((key) => first.pick({ key }, 0));
    const grown = balancer.createPicker([...endpoints, endpoint(4), endpoint(5)], first);
    expect(keys.map((key) => grown.pick({ key }, 0))).toEqual(homes);
    const shrunk = balancer.createPicker(endpoints.slice(1), grown);
    const after = keys.map((key) => shrunk.pick({ key }, 0));
    homes.forEach((home, index) => {
      if (home === endpoints[0]) expect(endpoints.slice(1)).toContain(after[index]);
      else expect(after[index]).toBe(home);
    });
    const again = balancer.createPicker(endpoints, shrunk);
    expect(keys.map((key) => again.pick({ key }, 0))).toEqual(after);
  });
});

describe('a load balancer of one’s own', () => {
  test('that gives what has gone, or nothing, is overruled: calls go to those in the list', () => {
    const gone = endpoint(9);
    const answers = [gone, undefined];
    const own = createLoadBalancer({ createPicker: () => ({ pick: () => answers.shift() }) });
    const endpoints = list(3);
    const picker = own.createPicker(endpoints, undefined);
    for (let i = 0; i < 4; i += 1) expect(endpoints).toContain(picker.pick(FIRST_TRY, 0));
  });
});
