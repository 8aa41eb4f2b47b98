import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  codeOf,
  DiscoveryError,
  messageOf,
  NoInstanceError,
  NoSnapshotError,
  toDiscoveryError,
} from '../../../lib/model/index.js';

describe('DiscoveryError', () => {
  it('carries its facts, and only those that were given', () => {
    const cause = new Error('below');
    const attempts = [{ target: 'http://a', reason: 'refused', code: 'ECONNREFUSED' }];
    const error = new DiscoveryError('BACKEND_UNAVAILABLE', 'nobody answered', {
      cause,
      attempts,
      backend: 'consul',
      service: 'ORDERS',
      field: 'f',
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'DiscoveryError',
      code: 'BACKEND_UNAVAILABLE',
      message: 'nobody answered',
      backend: 'consul',
      service: 'ORDERS',
      field: 'f',
      attempts,
      cause,
    });
    const bare = new DiscoveryError('TIMEOUT', 'late');
    expect(Object.keys(bare).sort()).toEqual(['code', 'name']);
    expect('cause' in bare).toBe(false);
    expect(inspect(bare)).not.toContain('undefined');
  });

  it('keeps a cause that is undefined or no error', () => {
    expect('cause' in new DiscoveryError('TIMEOUT', 'late', { cause: undefined })).toBe(true);
    expect(new DiscoveryError('TIMEOUT', 'late', { cause: 'text' }).cause).toBe('text');
  });

  it('has subclasses for what callers tell apart; the service is the one named', () => {
    const none = new NoInstanceError('ORDERS', 'none is up', { service: 'other', backend: 'b' });
    expect(none).toBeInstanceOf(DiscoveryError);
    expect(none).toMatchObject({ name: 'NoInstanceError', code: 'NO_INSTANCE', service: 'ORDERS', backend: 'b' });
    expect(new NoSnapshotError('ORDERS', 'unknown')).toMatchObject({
      name: 'NoSnapshotError',
      code: 'NO_SNAPSHOT',
      service: 'ORDERS',
    });
  });
});

describe('messageOf and codeOf', () => {
  it.each<[string, unknown, string]>([
    ['an error', new Error('m'), 'm'],
    ['a text', 'm', 'm'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['an object without a prototype', Object.create(null), 'a object'],
    [
      'an object that cannot be a text',
      {
        toString() {
          throw new Error('no');
        },
      },
      'a object',
    ],
    ['an error without a message', new TypeError(''), 'TypeError'],
    ['one with a code instead', Object.assign(new Error(''), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [
      'a refusal at every address of a host',
      Object.assign(new AggregateError([new Error('connect ECONNREFUSED ::1:1'), new Error('b')]), { code: 'E' }),
      'connect ECONNREFUSED ::1:1',
    ],
    ['an empty aggregate', new AggregateError([]), 'AggregateError'],
  ])('the message of %s', (_, thrown, text) => expect(messageOf(thrown)).toBe(text));

  it.each<[unknown, string | undefined]>([
    [{ code: 'E' }, 'E'],
    [{ code: 5 }, undefined],
    [{}, undefined],
    [null, undefined],
    ['E', undefined],
    [new DiscoveryError('TIMEOUT', ''), 'TIMEOUT'],
  ])('the code of %j', (thrown, code) => expect(codeOf(thrown)).toBe(code));
});

describe('toDiscoveryError', () => {
  it('leaves ours alone, and wraps everything else with its text and itself as the cause', () => {
    const ours = new NoSnapshotError('s', 'm');
    expect(toDiscoveryError(ours, 'TIMEOUT', 'p')).toBe(ours);
    const cause = new Error('below');
    expect(toDiscoveryError(cause, 'TIMEOUT', 'asking', { backend: 'b' })).toMatchObject({
      code: 'TIMEOUT',
      message: 'asking: below',
      backend: 'b',
      cause,
    });
    expect(toDiscoveryError(undefined, 'TIMEOUT', 'asking').message).toBe('asking: undefined');
  });
});
