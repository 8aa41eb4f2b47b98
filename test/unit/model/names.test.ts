import fc from 'fast-check';
import { describe as suite, expect, it } from 'vitest';
import {
  assertName,
  assertServiceName,
  describe,
  DiscoveryError,
  fromFileName,
  isPrototypeKey,
  nameProblem,
  serviceNameProblem,
  toFileName,
} from '../../../lib/model/index.js';
import { discoveryErrorOf } from './helpers.js';

/** Any text, halves of surrogate pairs and control characters too. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 10 }).map((units) => String.fromCharCode(...units)),
  fc.constantFrom('.', '..', '...', '../x', '..\\x', '~', 'a.', '%2E', '%2e', '%', '__proto__', "a'b", 'con', ' '),
);

suite('toFileName', () => {
  it('gives one safe path segment and back again, or an INVALID_NAME', () => {
    fc.assert(
      fc.property(anyText, (name) => {
        let file: string;
        try {
          file = toFileName(name, 'name');
        } catch (error) {
          expect(error).toBeInstanceOf(DiscoveryError);
          expect(error).toMatchObject({ code: 'INVALID_NAME', field: 'name' });
          return;
        }
        expect(file).toMatch(/^[A-Za-z0-9_%-][A-Za-z0-9._%-]*$/);
        expect(file.length).toBeLessThanOrEqual(240);
        expect(fromFileName(file)).toBe(name);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a half of a surrogate pair', 'x\ud800'],
    ['nothing', ''],
    ['what is too long once encoded', 'ü'.repeat(41)],
    ['what is too long as it is', 'x'.repeat(241)],
  ])('refuses %s', (_, name) => {
    expect(discoveryErrorOf(() => toFileName(name, 'id'))).toMatchObject({ code: 'INVALID_NAME', field: 'id' });
  });

  it('takes names up to the limit', () => {
    expect(toFileName('x'.repeat(240), 'id')).toHaveLength(240);
    expect(toFileName('ü'.repeat(40), 'id')).toHaveLength(240);
  });

  it.each(['..', '../x', '%2f', '%zz', '%', '', '.hidden', '%2e', 'a b', '%41'])(
    'knows that %j is no file name of its making',
    (file) => expect(fromFileName(file)).toBeUndefined(),
  );

  it('gives different names different files', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
        fc.pre(a !== b && a !== '' && b !== '');
        expect(toFileName(a, 'n')).not.toBe(toFileName(b, 'n'));
      }),
    );
  });
});

suite('serviceNameProblem', () => {
  it.each(['orders', 'team/orders', 'a/b/c', 'ä/ö'])('takes %j', (name) => {
    expect(serviceNameProblem(name)).toBeUndefined();
    expect(() => assertServiceName(name, 'service')).not.toThrow();
  });

  it.each([
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    'a/..',
    './a',
    'a/__proto__',
    'a\\b',
    'a/b\n',
    'a/ b',
    'x/'.repeat(128),
    5,
    null,
  ])('refuses %j', (name) => {
    const error = discoveryErrorOf(() => assertServiceName(name, 'service'));
    expect(error).toMatchObject({ code: 'INVALID_NAME', field: 'service' });
  });
});

suite('nameProblem', () => {
  it.each(['ORDERS', 'orders-v2', 'DEFAULT_GROUP@@orders', 'a.b:8080', 'größe', '注文', '...', 'x'.repeat(255)])(
    'takes %j',
    (name) => {
      expect(nameProblem(name)).toBeUndefined();
      expect(() => assertName(name, 'service')).not.toThrow();
    },
  );

  it.each([
    ['', 'empty'],
    ['.', 'path'],
    ['..', 'path'],
    ['../x', 'slash'],
    ['a\\b', 'slash'],
    ['a\nb', 'control'],
    ['a\u0000', 'control'],
    ['\u007f', 'control'],
    [' a', 'blank'],
    ['a\u00a0', 'blank'],
    ['__proto__', 'reserved'],
    ['constructor', 'reserved'],
    ['prototype', 'reserved'],
    ['x'.repeat(256), '255'],
    ['\udc00', 'Unicode'],
    [5, 'text'],
    [undefined, 'text'],
    [null, 'text'],
    [['a'], 'text'],
    [{ toString: () => 'a' }, 'text'],
  ])('refuses %j', (name, word) => {
    expect(nameProblem(name)).toContain(word);
    const error = discoveryErrorOf(() => assertName(name, 'the name'));
    expect(error).toMatchObject({ code: 'INVALID_NAME', field: 'the name' });
    expect(error.message).toMatch(/^the name must/);
  });

  it('lets nothing pass that reaches a path, a prototype or another line', () => {
    fc.assert(
      fc.property(anyText, (name) => {
        if (nameProblem(name) !== undefined) return;
        expect(name).not.toMatch(/[/\\\n\r\0]/);
        expect(isPrototypeKey(name)).toBe(false);
        expect(() => encodeURIComponent(name)).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });
});

suite('describe', () => {
  it('is short, one line, and never throws', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }), (value) => {
        const text = describe(value);
        expect(text.length).toBeLessThanOrEqual(62);
        expect(text).not.toMatch(/[\n\r\u2028]/);
      }),
    );
    expect(describe('a\nb')).toBe("'a\\u000ab'");
    expect(describe('x'.repeat(100))).toHaveLength(62);
  });

  it('leaves out the user and password of a URL', () => {
    expect(describe('http://admin:hunter2@host:80')).toBe("'http://host:80'");
    expect(describe('nats://u:one@a,nats://u:two@b')).not.toMatch(/one|two/);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5'],
    [true, 'true'],
    [[1], 'a list'],
    [{}, 'a object'],
    [() => 1, 'a function'],
  ])('%j', (value, text) => expect(describe(value)).toBe(text));
});
