import axios from 'axios';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fullUrl, parseAddress, serviceUrl } from '../../../lib/http/address.js';
import { resolveCallOptions } from '../../../lib/http/call-options.js';
import { isReplayable, judge, retryAfterMs } from '../../../lib/http/failover.js';

describe('addresses', () => {
  test('any service name survives the way through a URL', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), fc.webPath(), (name, path) => {
        const address = parseAddress(`${serviceUrl(name)}${path}`);
        expect(address).toEqual({ host: name, isService: true, path: path === '' ? '/' : path });
      }),
    );
  });

  test.for([
    ['lb://STOCK', 'STOCK', '/'],
    ['lb://STOCK?x=1', 'STOCK', '/?x=1'],
    ['lb://STOCK/a//b?c=/d#e', 'STOCK', '/a//b?c=/d#e'],
  ] as const)('%s', ([url, host, path]) => {
    expect(parseAddress(url)).toEqual({ host, isService: true, path });
  });

  test('other URLs keep their host; a path alone is no address', () => {
    expect(parseAddress('http://u:p@a.b.asab:80/x')).toEqual({ host: 'a.b.asab', isService: false, path: '/x' });
    expect(parseAddress('/x')).toBeUndefined();
    for (const url of ['lb://', 'lb:///x', 'lb://%ZZ/x']) {
      expect(() => parseAddress(url)).toThrow(expect.objectContaining({ code: 'INVALID_NAME', field: 'url' }));
    }
  });

  test('base and path are put together as axios does it', () => {
    for (const [base, url] of [
      ['http://a', '/b'],
      ['http://a/', 'b'],
      ['http://a/c/', '/b'],
      ['http://a', ''],
      ['', 'http://b/x'],
      ['http://a', 'http://b/x'],
      ['http://a', '//b/x'],
    ] as const) {
      expect(fullUrl(base, url, true)).toBe(axios.getUri({ baseURL: base, url }));
    }
  });
});

describe('failover', () => {
  const error = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more });

  const { retry } = resolveCallOptions([]);

  test.for([
    ['ECONNREFUSED', {}, 'connection-failure', 'always', 'always'],
    ['ENOTFOUND', {}, 'connection-failure', 'always', 'always'],
    ['EHOSTUNREACH', {}, 'connection-failure', 'always', 'always'],
    ['ETIMEDOUT', { cause: { syscall: 'connect' } }, 'connection-failure', 'always', 'always'],
    ['ETIMEDOUT', { cause: { syscall: 'read' } }, 'connection-failure', 'within-budget', 'never'],
    ['ECONNRESET', {}, 'connection-failure', 'within-budget', 'never'],
    ['EPIPE', {}, 'connection-failure', 'within-budget', 'never'],
    ['ETIMEDOUT', {}, 'timeout', 'never', 'never'],
    ['ECONNABORTED', {}, 'timeout', 'never', 'never'],
    ['ERR_CANCELED', {}, 'cancelled', 'never', 'never'],
    ['ERR_BAD_RESPONSE', { response: { status: 503 } }, 'gateway-failure', 'within-budget', 'never'],
    ['ERR_BAD_RESPONSE', { response: { status: 500 } }, 'application-failure', 'never', 'never'],
    ['ERR_BAD_REQUEST', { response: { status: 404 } }, 'success', 'never', 'never'],
    ['ECONNRESET', { response: { status: 404 } }, 'success', 'never', 'never'],
  ] as const)('%s %j is a %s; a GET is tried elsewhere %s, a POST %s', ([code, more, outcome, get, post]) => {
    expect(judge(error(code, more), 'get', retry)).toEqual({ outcome, elsewhere: get });
    expect(judge(error(code, more), 'POST', retry)).toEqual({ outcome, elsewhere: post });
    expect(judge(error(code, more), 'POST', { ...retry, unsafeMethods: true })).toEqual({ outcome, elsewhere: get });
  });

  test('Retry-After as seconds and as a date', () => {
    const after = (value: unknown) => ({ response: { headers: { 'retry-after': value } } });
    expect(retryAfterMs(after('2'))).toBe(2000);
    expect(retryAfterMs(after(new Date(60_000).toUTCString()), 10_000)).toBe(50_000);
    for (const value of ['-1', 'soon', '', undefined, 5]) expect(retryAfterMs(after(value))).toBe(0);
  });

  test('a body that is a stream can not be sent twice', () => {
    expect([undefined, 'text', { a: 1 }, Buffer.from('x')].every((data) => isReplayable(data, false))).toBe(true);
    expect(isReplayable(new ReadableStream(), true)).toBe(false);
    expect(isReplayable((async function* () {})(), true)).toBe(false);
  });
});
