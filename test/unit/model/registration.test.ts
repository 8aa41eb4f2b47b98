import { describe, expect, it } from 'vitest';
import { createRegistration, patchRegistration, toInstance } from '../../../lib/model/index.js';
import { discoveryErrorOf } from './helpers.js';

const base = { service: 'ORDERS', host: '10.0.0.1', port: 8080 };
const registration = (over: Record<string, unknown> = {}) => createRegistration({ ...base, ...over });

describe('createRegistration', () => {
  it('fills in the defaults and freezes everything', () => {
    const made = registration({ tags: ['a'] });
    expect(made).toEqual({
      ...base,
      instanceId: 'ORDERS:10.0.0.1:8080',
      ip: '10.0.0.1',
      scheme: 'http',
      status: 'UP',
      metadata: {},
      tags: ['a'],
      weight: 1,
    });
    expect([made, made.metadata, made.tags].every((part) => Object.isFrozen(part))).toBe(true);
  });

  it('takes IPv6, and keeps what was given', () => {
    const made = registration({ host: '::1', ip: 'fe80::1', zone: 'eu', healthPath: '/health?full', scheme: 'https' });
    expect(made).toMatchObject({ host: '::1', ip: 'fe80::1', zone: 'eu', healthPath: '/health?full' });
    expect(made.instanceId).toBe('ORDERS:::1:8080');
    expect(toInstance(made, 'b').url).toBe('https://[::1]:8080');
  });

  it.each<[string, string, unknown]>([
    ['INVALID_NAME', 'service', '../x'],
    ['INVALID_NAME', 'service', undefined],
    ['INVALID_NAME', 'instanceId', 'a/b'],
    ['INVALID_NAME', 'instanceId', ''],
    ['INVALID_NAME', 'instanceId', 5],
    ['INVALID_INSTANCE', 'host', 'http://h'],
    ['INVALID_INSTANCE', 'host', ''],
    ['INVALID_INSTANCE', 'ip', 'not an ip'],
    ['INVALID_INSTANCE', 'ip', 5],
    ['INVALID_INSTANCE', 'port', 70000],
    ['INVALID_INSTANCE', 'port', 0],
    ['INVALID_INSTANCE', 'port', '8080'],
    ['INVALID_INSTANCE', 'scheme', 'HTTP'],
    ['INVALID_INSTANCE', 'status', 'FOO'],
    ['INVALID_INSTANCE', 'weight', -1],
    ['INVALID_INSTANCE', 'weight', Number.NaN],
    ['INVALID_INSTANCE', 'weight', Infinity],
    ['INVALID_INSTANCE', 'zone', 5],
    ['INVALID_INSTANCE', 'metadata', 'a=b'],
    ['INVALID_INSTANCE', 'metadata.__proto__', undefined],
    ['INVALID_OPTION', 'tags', 'a,b'],
    ['INVALID_OPTION', 'tags', ['a', 5]],
    ['INVALID_OPTION', 'tags', { 0: 'a' }],
    ['INVALID_OPTION', 'healthPath', 'health'],
    ['INVALID_OPTION', 'healthPath', ''],
    ['INVALID_OPTION', 'healthPath', '/a b'],
    ['INVALID_OPTION', 'healthPath', '/a\r\nX-Evil: 1'],
    ['INVALID_OPTION', 'healthPath', 5],
  ])('%s names %s: %j', (code, field, value) => {
    const over: Record<string, unknown> =
      field === 'metadata.__proto__' ? { metadata: JSON.parse('{"__proto__":"x"}') as unknown } : { [field]: value };
    expect(discoveryErrorOf(() => registration(over))).toMatchObject({ code, field });
  });

  it('copies the tags', () => {
    const tags = ['a'];
    const made = registration({ tags });
    tags.push('b');
    expect(made.tags).toEqual(['a']);
  });
});

describe('patchRegistration', () => {
  const full = registration({ zone: 'eu', healthPath: '/h', tags: ['a'], metadata: { v: '1' }, ip: '10.0.0.9' });

  it('changes what is given and keeps everything else', () => {
    expect(patchRegistration(full, {})).toEqual(full);
    expect(patchRegistration(full, { status: 'DOWN' })).toEqual({ ...full, status: 'DOWN' });
    expect(patchRegistration(full, { weight: 0 })).toEqual({ ...full, weight: 0 });
    expect(patchRegistration(full, { tags: [] })).toEqual({ ...full, tags: [] });
    expect({ ...patchRegistration(full, { metadata: { w: 2 } }).metadata }).toEqual({ w: '2' });
  });

  it.each<[string, unknown]>([
    ['status', 'FOO'],
    ['status', null],
    ['weight', -1],
    ['weight', Number.NaN],
    ['weight', Infinity],
    ['tags', 'a'],
    ['metadata', 'text'],
    ['metadata', null],
  ])('refuses %s: %j, and leaves the registration as it was', (field, value) => {
    const before = JSON.stringify(full);
    const error = discoveryErrorOf(() => patchRegistration(full, { [field]: value }));
    expect(error.field).toBe(field);
    expect(JSON.stringify(full)).toBe(before);
  });
});

describe('toInstance', () => {
  it('is what others see of it', () => {
    const made = toInstance(registration({ zone: 'eu', weight: 3, status: 'STARTING', metadata: { v: '1' } }), 'nacos');
    expect(made).toMatchObject({
      service: 'ORDERS',
      id: 'ORDERS:10.0.0.1:8080',
      url: 'http://10.0.0.1:8080',
      zone: 'eu',
      weight: 3,
      status: 'STARTING',
      backend: 'nacos',
    });
    expect(made.metadata['v']).toBe('1');
  });
});
