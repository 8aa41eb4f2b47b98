import { describe, expect, it } from 'vitest';
import { recordName, targetsOf, toInstances } from '../../../lib/backends/dns/dns.codec.js';
import { resolveDnsOptions } from '../../../lib/backends/dns/dns.options.js';

const record = (name: string, priority = 0, weight = 0, port = 80) => ({ name, priority, weight, port });

describe('the name of the records', () => {
  it.each([
    ['{service}.service.consul', 'ORDERS', 'ORDERS.service.consul'],
    ['_{service}._tcp.example.org', 'http', '_http._tcp.example.org'],
    ['{service}.{service}.local.', 'a', 'a.a.local.'],
    ['{service}', '_http._tcp.orders.default.svc.cluster.local', '_http._tcp.orders.default.svc.cluster.local'],
    // No pattern of String.replace.
    ['{service}.x', 'a-b_c', 'a-b_c.x'],
  ])('%s of %s', (pattern, service, expected) => {
    expect(recordName(pattern, service)).toBe(expected);
  });

  it.each(['a b', 'a..b', '.a', 'a.', '-a', 'a-', '$&', 'ö', 'a'.repeat(64), 'a.'.repeat(126)])(
    'refuses %j, which DNS can not have',
    (service) => {
      expect(() => recordName('{service}.consul', service)).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    },
  );
});

describe('targets', () => {
  it('are those of the lowest priority', () => {
    const records = [record('c', 20, 9), record('a', 10, 5), record('b', 10, 1), record('d', 30, 1)];
    expect(targetsOf(records)).toMatchObject([
      { name: 'a', port: 80, weight: 5 },
      { name: 'b', port: 80, weight: 1 },
    ]);
  });

  it('weigh the same when none has a weight, and very little beside those that have', () => {
    const weights = (...given: number[]) =>
      targetsOf(given.map((weight) => record('a', 0, weight))).map((one) => one.weight);
    expect(weights(0, 0)).toEqual([1, 1]);
    expect(weights(3, 3)).toEqual([3, 3]);
    const [small = 0, other] = weights(0, 10);
    expect(other).toBe(10);
    expect(small > 0 && small < 1).toBe(true);
  });

  it('are none when there are no records, or the service is said not to be there', () => {
    expect(targetsOf([])).toEqual([]);
    expect(targetsOf([record('')])).toEqual([]);
    expect(targetsOf([record('.'), record('b', 5)])).toMatchObject([{ name: 'b', port: 80, weight: 1 }]);
  });
});

describe('instances', () => {
  const target = { name: 'node-1.example.org', port: 8080, weight: 3 };
  const at = (...list: string[]) => ({ list, until: 0 });

  it('have the addresses, and their target as metadata', () => {
    const settings = resolveDnsOptions({ scheme: 'https' });
    const [one, other] = toInstances('ORDERS', target, at('2001:db8::1', '10.0.0.1'), settings);
    expect(one).toMatchObject({
      service: 'ORDERS',
      id: '2001:db8::1:8080',
      url: 'https://[2001:db8::1]:8080',
      weight: 3,
      status: 'UP',
      backend: 'dns',
      metadata: { target: 'node-1.example.org' },
    });
    expect(other?.url).toBe('https://10.0.0.1:8080');
  });

  it('of address records have no metadata, and there may be none', () => {
    const settings = resolveDnsOptions({ record: 'A', port: 80 });
    const [one] = toInstances('ORDERS', target, at('10.0.0.1'), settings);
    expect(Object.keys(one?.metadata ?? {})).toEqual([]);
    expect(toInstances('ORDERS', target, at(), settings)).toEqual([]);
  });

  it('have a port that can be called, and an address', () => {
    const refused = expect.objectContaining({ code: 'INVALID_INSTANCE' });
    const settings = resolveDnsOptions({});
    expect(() => toInstances('ORDERS', { ...target, port: 0 }, at('10.0.0.1'), settings)).toThrow(refused);
    expect(() => toInstances('ORDERS', target, at(), settings)).toThrow(refused);
    expect(() => toInstances('ORDERS', target, undefined, settings)).toThrow(refused);
  });
});
