import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assertHost,
  authority,
  createMetadata,
  createServiceInstance,
  INSTANCE_STATUSES,
  sameInstance,
  type ServiceInstanceInput,
} from '../../../lib/model/index.js';
import { anyInstance, discoveryErrorOf, instance } from './helpers.js';

describe('createServiceInstance', () => {
  it('fills in the defaults and freezes everything', () => {
    const made = createServiceInstance({ service: 'ORDERS', host: 'h', port: 1, backend: 'a' });
    expect(made).toEqual({
      service: 'ORDERS',
      id: 'h:1',
      host: 'h',
      port: 1,
      scheme: 'http',
      status: 'UP',
      metadata: {},
      tags: [],
      weight: 1,
      backend: 'a',
      url: 'http://h:1',
    });
    expect('zone' in made).toBe(false);
    expect(Object.isFrozen(made)).toBe(true);
    expect(Object.isFrozen(made.metadata)).toBe(true);
    expect(Object.isFrozen(INSTANCE_STATUSES)).toBe(true);
    expect('zone' in instance({ zone: '' })).toBe(false);
    expect(instance({ zone: 'eu' }).zone).toBe('eu');
  });

  const bad: [keyof ServiceInstanceInput, unknown[]][] = [
    ['host', [undefined, null, '', ' ', 'a b', 'a/b', 'http://h', 'h:80', '[::1]', 'u@h', 'h?', 'h#', 'é', 'a\n']],
    ['host', ['-h', '.h', 'h-', 'x'.repeat(254), 5, ['h'], '256.1.1.1', '1.2.3', '01.2.3.4', '1.2.3.4.5', 'h.5']],
    [
      'host',
      [
        '1.2.3.4.',
        '0x7f000001',
        'h.0x1',
        '2130706433',
        'a:b',
        ':',
        ':::',
        '1::2::3',
        '12345::',
        '::1%',
        'fe80::1%eth0',
      ],
    ],
    ['port', [undefined, null, 0, -1, 65536, 70000, 1.5, Number.NaN, Infinity, '80', [80]]],
    ['scheme', ['', 'HTTP', 'ht tp', 'http:', '1http', '//', 5, ['http'], 'x'.repeat(33)]],
    ['status', ['', 'up', 'FOO', 5, ['UP'], '__proto__']],
    ['weight', [-1, Number.NaN, Infinity, -Infinity, '1', 2e9, [1], { valueOf: () => 1 }]],
    ['id', ['', 5, {}, 'x'.repeat(1025)]],
    ['zone', [5, {}, ['eu']]],
    ['metadata', ['text', ['a'], 5, true]],
  ];
  it.each(bad)('names %s when it is bad', (field, values) => {
    for (const value of values) {
      const error = discoveryErrorOf(() => instance({ [field]: value }));
      expect(error, String(value)).toMatchObject({ code: 'INVALID_INSTANCE', field });
      expect(error.message, String(value)).toMatch(new RegExp(`^${field} must`));
    }
  });

  it('names the service when it is bad', () => {
    for (const service of ['', '../x', '__proto__', undefined, 5]) {
      const error = discoveryErrorOf(() => instance({ service } as Partial<ServiceInstanceInput>));
      expect(error).toMatchObject({ code: 'INVALID_NAME', field: 'service' });
    }
  });

  it.each([
    ['10.0.0.1', 'http://10.0.0.1:80'],
    ['255.255.255.255', 'http://255.255.255.255:80'],
    ['0.0.0.0', 'http://0.0.0.0:80'],
    ['orders_1.svc.cluster.local', 'http://orders_1.svc.cluster.local:80'],
    ['host.', 'http://host.:80'],
    ['1a', 'http://1a:80'],
    ['a1.b2', 'http://a1.b2:80'],
    ['::1', 'http://[::1]:80'],
    ['2001:db8::8a2e:370:7334', 'http://[2001:db8::8a2e:370:7334]:80'],
    ['::ffff:10.0.0.1', 'http://[::ffff:10.0.0.1]:80'],
  ])('takes the host %s', (host, url) => expect(instance({ host, port: 80 }).url).toBe(url));

  it('knows one instance however its host is spelled', () => {
    const upper = instance({ host: 'Orders.Example' });
    expect(upper.url).toBe('http://orders.example:8080');
    expect(upper.host).toBe('Orders.Example');
    expect(instance({ host: '2001:DB8::1' }).url).toBe(instance({ host: '2001:db8::1' }).url);
  });

  it('never takes a host that a URL would not take, or would take for another', () => {
    const part = fc.constantFrom('a', '1', '255', '256', '0x1', '007', '-', '_', '.', ':', '::', 'f', 'x-y', '00');
    const anyHost = fc.oneof(
      fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join('')),
      fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.')),
      fc.ipV4(),
      fc.ipV6(),
      fc.domain(),
      fc.string(),
    );
    let taken = 0;
    fc.assert(
      fc.property(anyHost, (host) => {
        try {
          assertHost(host);
        } catch {
          return;
        }
        taken += 1;
        const url = new URL(`http://${authority(host, 81)}`);
        expect(url.port).toBe('81');
        expect(url.pathname + url.search + url.hash + url.username).toBe('/');
        if (!host.includes(':')) expect(url.hostname).toBe(host.toLowerCase());
      }),
      { numRuns: 3000 },
    );
    expect(taken).toBeGreaterThan(500);
  });

  it('takes every address', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (host) => {
        expect(() => assertHost(host)).not.toThrow();
      }),
    );
  });
});

describe('createMetadata', () => {
  it('keeps texts, numbers and booleans, and leaves the rest out', () => {
    const made = createMetadata({ a: 'x', b: 5, c: false, d: null, e: undefined, f: {}, g: ['x'], h: () => 1 });
    expect({ ...made }).toEqual({ a: 'x', b: '5', c: 'false' });
    expect(Object.getPrototypeOf(made)).toBeNull();
    expect(made['toString']).toBeUndefined();
  });

  it.each(['__proto__', 'constructor', 'prototype'])('refuses the key %s', (key) => {
    const stranger = JSON.parse(`{ "ok": "1", "${key}": "evil" }`) as Record<string, unknown>;
    expect(discoveryErrorOf(() => createMetadata(stranger))).toMatchObject({
      code: 'INVALID_INSTANCE',
      field: `metadata.${key}`,
    });
    expect(({} as Record<string, unknown>)['evil']).toBeUndefined();
  });

  it('copes with huge values', () => {
    const value = 'x'.repeat(1_000_000);
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key${index}`, index]));
    expect(createMetadata({ value })['value']).toHaveLength(1_000_000);
    expect(Object.keys(createMetadata(many))).toHaveLength(10_000);
    // What is wrong with a huge value fits in a line all the same.
    expect(discoveryErrorOf(() => instance({ host: value })).message.length).toBeLessThan(200);
  });

  it('copies: what the giver changes afterwards changes nothing', () => {
    const mine: Record<string, unknown> = { a: '1' };
    const made = createMetadata(mine);
    mine['a'] = '2';
    expect(made['a']).toBe('1');
  });
});

describe('sameInstance', () => {
  it('compares what they carry', () => {
    fc.assert(
      fc.property(anyInstance, anyInstance, (a, b) => {
        expect(sameInstance(a, b)).toBe(JSON.stringify(a) === JSON.stringify(b));
        expect(sameInstance(a, createServiceInstance(a))).toBe(true);
      }),
    );
  });

  it.each<[string, Partial<ServiceInstanceInput>]>([
    ['service', { service: 'OTHER' }],
    ['id', { id: 'other' }],
    ['host', { host: '10.0.0.2' }],
    ['port', { port: 1 }],
    ['scheme', { scheme: 'https' }],
    ['status', { status: 'DOWN' }],
    ['weight', { weight: 2 }],
    ['zone', { zone: 'z' }],
    ['backend', { backend: 'b' }],
    ['a metadata value', { metadata: { a: '2' } }],
    ['a metadata key', { metadata: { b: '1' } }],
    ['more metadata', { metadata: { a: '1', b: '1' } }],
  ])('sees another %s', (_, over) => {
    const base = { id: 'i', metadata: { a: '1' } };
    expect(sameInstance(instance(base), instance({ ...base, ...over }))).toBe(false);
  });
});
