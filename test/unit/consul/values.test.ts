import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressText, parseAddress } from '../../../lib/backends/consul/client/address.js';
import { errorOf } from '../../../lib/backends/consul/client/errors.js';
import { decodeEntry, keepFlags, type RawKVEntry } from '../../../lib/backends/consul/client/kv-entry.js';
import { metaOf } from '../../../lib/backends/consul/client/meta.js';
import {
  blockingOf,
  durationMs,
  filterText,
  goDuration,
  idOf,
  indexOf,
  keyPath,
  secretOf,
} from '../../../lib/backends/consul/client/values.js';

const invalid = expect.objectContaining({ code: 'INVALID_OPTION' }) as Error;

describe('durations', () => {
  it.each([
    ['10s', 10_000],
    ['5m', 300_000],
    ['2m30s', 150_000],
    ['1.5h', 5_400_000],
    ['250ms', 250],
    ['1h2m3s4ms', 3_723_004],
    ['.5s', 500],
    ['1us', 0.001],
    ['0', 0],
    ['0s', 0],
    [1500, 1500],
  ])('%s is %d ms', (given, ms) => expect(durationMs(given)).toBeCloseTo(ms, 9));

  it.each(['1d', '1w', '1d2h', '10', '', 's', '10 s', '-5s', '1e3s', -1, NaN, Infinity])('refuses %s', (given) =>
    expect(() => goDuration(given)).toThrow(invalid),
  );

  it('numbers come back as they went', () => {
    fc.assert(
      fc.property(fc.nat(1e9), (ms) => {
        expect(durationMs(goDuration(ms))).toBe(ms);
      }),
    );
    expect(goDuration(0.5)).toBe('500000ns');
    expect(goDuration('2m30s')).toBe('2m30s');
  });
});

describe('indexes and ids', () => {
  it.each([
    ['1234', '1234'],
    [1234, '1234'],
    [2n ** 64n - 1n, '18446744073709551615'],
    [{ Index: '1234' }, '1234'],
    [{ Index: 7, ModifyIndex: 8 }, '7'],
    [{ Key: 'a', ModifyIndex: 8 }, '8'],
  ])('the index of %s', (given, index) => expect(indexOf(given)).toBe(index));

  it.each([undefined, null, {}, 'abc', -1, 1.5, '1'.repeat(21), { Index: 'x' }])('none in %j', (given) =>
    expect(() => indexOf(given)).toThrow(invalid),
  );

  it('three equivalent forms of blocking', () => {
    for (const form of [5, { Index: 5 }, [{ Index: 5 }, null], [5], ['5', undefined]] as const) {
      expect(blockingOf(form as never)).toEqual({ index: '5', waitMs: undefined });
    }
    expect(blockingOf([{ Index: 5 }, '30s'])).toEqual({ index: '5', waitMs: 30_000 });
    expect(blockingOf(['5', 100])).toEqual({ index: '5', waitMs: 100 });
  });

  it('an id, or any object that carries it', () => {
    expect(idOf('x', ['ID'], 'id')).toBe('x');
    expect(idOf({ ID: 'x', Name: 'y' }, ['ID', 'Name'], 'id')).toBe('x');
    expect(idOf({ Name: 'y' }, ['ID', 'Name'], 'id')).toBe('y');
    for (const wrong of ['', '.', '..', {}, { ID: '' }, { ID: 5 }, null, undefined, 5]) {
      expect(() => idOf(wrong, ['ID'], 'session')).toThrow(expect.objectContaining({ field: 'session' }));
    }
  });

  it('a token that is none is not shown', () => {
    for (const wrong of ['', 'line\nbreak', 'break 世界', { SecretID: '' }]) {
      expect(() => secretOf(wrong)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('break') }));
    }
  });
});

describe('keys', () => {
  it('go into a path and come out as they were', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter((part) => !/[/\p{Cc}\p{Cs}]|^\.\.?$/u.test(part));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), (parts) => {
        const path = keyPath(parts.join('/'));
        expect(path).toMatch(/^[!-~]+$/);
        expect(path).not.toMatch(/[?#\s]/);
        expect(path.split('/').map(decodeURIComponent)).toEqual(parts);
      }),
    );
  });

  it.each(['', '/a', 'a//b', '../a', 'a/../b', 'a/.', 'a\nb', '\ud800', 5])('refuses %j', (key) =>
    expect(() => keyPath(key)).toThrow(expect.objectContaining({ code: 'INVALID_NAME' })),
  );
});

describe('filters', () => {
  it('regular expressions in the servers’ syntax', () => {
    expect(filterText('node-\\d+', 'node')).toBe('node-\\d+');
    expect(filterText(/node-\d+/, 'node')).toBe('node-\\d+');
    expect(filterText(/x/gi, 'node')).toBe('(?i)x');
    expect(filterText(/^x$/ms, 'node')).toBe('(?ms)^x$');
  });
});

describe('addresses', () => {
  it.each([
    ['10.0.0.5', 'http://10.0.0.5:8500'],
    ['consul.local:80', 'http://consul.local:80'],
    ['http://host', 'http://host:8500'],
    ['http://host:80', 'http://host:80'],
    ['https://host', 'https://host:8501'],
    ['https://host:443/consul/', 'https://host:443/consul'],
    ['::1', 'http://[::1]:8500'],
    ['[::1]:9', 'http://[::1]:9'],
    ['unix:///run/consul.sock', 'unix:///run/consul.sock'],
    ['/run/consul.sock', 'unix:///run/consul.sock'],
  ])('%s', (given, text) => {
    expect(addressText(parseAddress(given))).toBe(text);
    expect(parseAddress(text)).toEqual(parseAddress(given));
  });

  it.each(['', 'http://', 'ftp://x', 'http://x:99999', 'http://x:0', 'http://x?a=b', 'a b', 'http://u:geheim@x'])(
    'refuses %j, and shows no password',
    (given) => {
      expect(() => parseAddress(given)).toThrow(invalid);
      expect(() => parseAddress(given)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('geheim') }),
      );
    },
  );
});

describe('meta', () => {
  it('reads what Consul says', () => {
    expect(
      metaOf({
        'x-consul-index': '42',
        'x-consul-knownleader': 'true',
        'x-consul-lastcontact': '17',
        'x-consul-effective-consistency': 'stale',
        'x-consul-results-filtered-by-acls': 'true',
        'x-cache': 'HIT',
        age: '3',
      }),
    ).toEqual({
      Index: '42',
      KnownLeader: true,
      LastContact: 17,
      EffectiveConsistency: 'stale',
      ResultsFilteredByACLs: true,
      TranslateAddresses: false,
      Cache: 'HIT',
      CacheAge: 3,
    });
  });

  it('whatever comes, there is a usable meta', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (index, contact) => {
        const meta = metaOf({ 'x-consul-index': index, 'x-consul-lastcontact': contact });
        expect(meta.Index).toMatch(/^\d+$/);
        expect(Number.isFinite(meta.LastContact)).toBe(true);
      }),
    );
  });
});

describe('entries', () => {
  it('flags of any size, and never those of a text', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 1n), fc.string(), (flags, key) => {
        const json = `[{"Key":${JSON.stringify(key)},"Flags": ${flags},"Value":null}]`;
        const [raw] = JSON.parse(keepFlags(json)) as RawKVEntry[];
        if (raw === undefined) throw new Error('one entry');
        const entry = decodeEntry(raw);
        expect(BigInt(entry.Flags)).toBe(flags);
        expect(typeof entry.Flags === 'number').toBe(flags <= BigInt(Number.MAX_SAFE_INTEGER));
        expect(entry.Key).toBe(key);
      }),
    );
    const tricky = JSON.stringify([{ Key: '"Flags": 12345678901234567890', Flags: 1, Value: null }]);
    expect(JSON.parse(keepFlags(tricky))).toMatchObject([{ Key: '"Flags": 12345678901234567890', Flags: 1 }]);
  });
});

describe('errors by status', () => {
  it.each([
    [400, 'Bad request', 'request', 'BACKEND_REFUSED'],
    [401, 'ACL support disabled', 'acl-disabled', 'UNSUPPORTED'],
    [401, 'who are you', 'unauthorized', 'BACKEND_REFUSED'],
    [403, 'Permission denied', 'unauthorized', 'BACKEND_REFUSED'],
    [404, '', 'not-found', 'BACKEND_REFUSED'],
    [405, '', 'request', 'BACKEND_REFUSED'],
    [409, 'conflict', 'conflict', 'BACKEND_REFUSED'],
    [409, '{"Errors":[{"OpIndex":2,"What":"stale"}]}', 'transaction', 'BACKEND_REFUSED'],
    [410, 'gone', 'gone', 'UNSUPPORTED'],
    [413, 'too large', 'request', 'BACKEND_REFUSED'],
    [429, 'slow down', 'rate-limit', 'BACKEND_UNAVAILABLE'],
    [500, 'No cluster leader', 'server', 'BACKEND_UNAVAILABLE'],
    [503, 'rate limit reached', 'rate-limit', 'BACKEND_UNAVAILABLE'],
    [301, '', 'protocol', 'BACKEND_UNAVAILABLE'],
  ])('%i %s is of the kind %s', (status, text, kind, code) => {
    const error = errorOf(status, 'GET /v1/x', text);
    expect(error).toMatchObject({ name: 'ConsulError', kind, code, status, operation: 'GET /v1/x' });
    expect(error.message).toContain('GET /v1/x'.slice(0, status === 409 && text.startsWith('{') ? 0 : 9));
  });

  it('a message is one line of bounded length', () => {
    const { message } = errorOf(500, 'GET /v1/x', `line\n\u001b[31mforged\r\n${'x'.repeat(10_000)}`);
    expect(message).not.toMatch(/[\r\n\u001b]/);
    expect(message.length).toBeLessThan(500);
  });
});
