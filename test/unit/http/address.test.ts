import axios from 'axios';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fullUrl, parseAddress, serviceUrl } from '../../../lib/http/address.js';
import { isReplayable, mayTryElsewhere } from '../../../lib/http/failover.js';

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
    ] as const) {
      expect(fullUrl(base, url, true)).toBe(axios.getUri({ baseURL: base, url }));
    }
  });
});

describe('failover', () => {
  const error = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more });

  test.for([
    ['ECONNREFUSED', {}, true, true],
    ['ENOTFOUND', {}, true, true],
    ['EHOSTUNREACH', {}, true, true],
    ['ETIMEDOUT', { cause: { syscall: 'connect' } }, true, true],
    ['ETIMEDOUT', { cause: { syscall: 'read' } }, true, false],
    ['ECONNRESET', {}, true, false],
    ['EPIPE', {}, true, false],
    ['ETIMEDOUT', {}, false, false],
    ['ECONNABORTED', {}, false, false],
    ['ERR_CANCELED', {}, false, false],
    ['ERR_BAD_RESPONSE', { response: {} }, false, false],
    ['ECONNRESET', { response: {} }, false, false],
  ] as const)('%s %j: GET %s, POST %s', ([code, more, get, post]) => {
    expect(mayTryElsewhere(error(code, more), 'get')).toBe(get);
    expect(mayTryElsewhere(error(code, more), 'POST')).toBe(post);
  });

  test('a body that is a stream can not be sent twice', () => {
    expect([undefined, 'text', { a: 1 }, Buffer.from('x')].every(isReplayable)).toBe(true);
    expect(isReplayable(new ReadableStream())).toBe(false);
    expect(isReplayable((async function* () {})())).toBe(false);
  });
});
