import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { coerce, entriesOf, PropertyTree, readDocument, type ConfigEntries } from '../../../lib/config/index.js';
import type { ConfigFormat } from '../../../lib/model/index.js';

const parse = async (format: ConfigFormat, text: string) => {
  const [first = new Map()] = await readDocument({ id: 'doc', revision: '1', content: { format, text } });
  return first;
};
const valuesOf = (entries: ConfigEntries) => Object.fromEntries([...entries].map(([key, { value }]) => [key, value]));
const tree = (...layers: object[]) => PropertyTree.merge(layers.map((layer) => entriesOf('doc', layer)));

describe('documents', () => {
  test.for([
    ['yaml', 'a:\n  b: 1\n  c: [x, {y: 2}]\nd.e: true\nf: 2020-01-01\ng:\n'],
    ['json', '{"a":{"b":1,"c":["x",{"y":2}]},"d.e":true,"f":"2020-01-01","g":null}'],
  ] as const)('%s', async ([format, text]) => {
    const flat = await parse(format, text);
    expect([...flat.keys()].sort()).toEqual(['a.b', 'a.c', 'd.e', 'f', 'g']);
    expect(PropertyTree.merge([flat]).get('a')).toEqual({ b: 1, c: ['x', { y: 2 }] });
    expect(PropertyTree.merge([flat]).get('g')).toBeUndefined();
  });

  test('properties, with escapes, comments and continued lines', async () => {
    const flat = await parse('properties', '# no\na.b = 1\nc: two \\\n  lines\ne\\ f=\\u00e9\n! no\n');
    expect(valuesOf(flat)).toEqual({ 'a.b': '1', c: 'two lines', 'e f': 'é' });
  });

  test('a text is one value, entries are keys', async () => {
    expect(valuesOf(await parse('text', 'x'))).toEqual({ doc: 'x' });
    const entries = { id: 'doc', revision: '1', content: { format: 'entries', entries: { 'a.b': 'x' } } } as const;
    expect((await readDocument(entries)).map(valuesOf)).toEqual([{ 'a.b': 'x' }]);
  });

  test.for([
    ['yaml', 'a: ['],
    ['yaml', '- a list'],
    ['yaml', 'a: 1\na: 2'],
    ['json', '{'],
    ['json', '"text"'],
    ['json', '{"a":{"__proto__":{"b":1}}}'],
    ['json', '{"constructor.prototype.x":1}'],
    ['json', '{"a":[{"__proto__":1}]}'],
    ['yaml', '__proto__: 1'],
    ['properties', '__proto__.x=1'],
  ] as const)('%s that can not be used: %s', async ([format, text]) => {
    await expect(parse(format, text)).rejects.toMatchObject({ code: 'CONFIG_DOCUMENT_INVALID' });
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('a document that expands without end is refused', async () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (let i = 0; i < 9; i += 1) {
      const name = String.fromCharCode(98 + i);
      bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${String.fromCharCode(97 + i)}`).join(', ')}]`);
    }
    await expect(parse('yaml', bomb.join('\n'))).rejects.toMatchObject({ code: 'CONFIG_DOCUMENT_INVALID' });
  });

  test.for(['yaml', 'json', 'properties'] as const)('an empty %s document has no keys', async (format) => {
    for (const text of ['', ' \n', '\ufeff']) expect((await parse(format, text)).size).toBe(0);
  });

  test('any JSON survives the way through a document', async () => {
    const key = fc.stringMatching(/^[a-z]{1,5}$/);
    const value = fc.letrec((tie) => ({
      leaf: fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.array(fc.integer(), { maxLength: 3 })),
      node: fc.dictionary(key, fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('node')), { minKeys: 1, maxKeys: 4 }),
    })).node;
    await fc.assert(
      fc.asyncProperty(value, async (data) => {
        const result = PropertyTree.merge([await parse('json', JSON.stringify(data))]).get('');
        expect(JSON.parse(JSON.stringify(result))).toEqual(JSON.parse(JSON.stringify(data)));
      }),
    );
  });
});

describe('PropertyTree', () => {
  test('a later layer replaces what is at, below and above its key; null takes it away', () => {
    expect(tree({ a: { b: 1, c: 2 } }, { a: { b: 9 } }).get('a')).toEqual({ b: 9, c: 2 });
    expect(tree({ a: { b: 1, c: 2 } }, { a: 5 }).get('a')).toBe(5);
    expect(tree({ a: 5 }, { a: { b: 1 } }).get('a')).toEqual({ b: 1 });
    expect(tree({ a: { b: 1, c: 2 } }, { a: { b: null } }).get('a')).toEqual({ c: 2 });
    expect(tree({ a: { b: 1 } }, { a: null }).get('a')).toBeUndefined();
    expect(tree({ l: [1, 2] }, { l: [3] }).get('l')).toEqual([3]);
  });

  test('a key may hold a value and be the beginning of others, as in a .properties file', () => {
    const both = tree({ a: 1, 'a.b': 2 });
    expect([both.get('a'), both.get('a.b')]).toEqual([1, 2]);
    expect(both.get('')).toEqual({ a: { b: 2 } });
  });

  test('keys, differences, and values that nobody can change', () => {
    const before = tree({ a: { b: 1, l: [1] }, c: 1 });
    const after = tree({ a: { b: 2, l: [1] }, d: 1 });
    expect(before.keys).toEqual(['a.b', 'a.l', 'c']);
    expect(after.differences(before)).toEqual(['a.b', 'c', 'd']);
    expect(after.differences(after)).toEqual([]);
    const value = before.get('a') as Record<string, unknown>;
    expect(() => (value['b'] = 5)).toThrow(TypeError);
    expect(() => (value['l'] as unknown[]).push(5)).toThrow(TypeError);
    expect(before.get('toString')).toBeUndefined();
  });

  test('merging is the same as assigning one layer after the other', () => {
    const layer = fc.dictionary(fc.constantFrom('a', 'b', 'a.x', 'a.x.y', 'b.z'), fc.integer(), { maxKeys: 1 });
    fc.assert(
      fc.property(fc.array(layer, { maxLength: 6 }), (layers) => {
        const expected = new Map<string, unknown>();
        for (const entries of layers) {
          for (const [key, value] of Object.entries(entries)) {
            for (const old of [...expected.keys()]) {
              if (old === key || old.startsWith(`${key}.`) || key.startsWith(`${old}.`)) expected.delete(old);
            }
            expected.set(key, value);
          }
        }
        const merged = tree(...layers);
        expect(merged.keys).toEqual([...expected.keys()].sort());
        for (const [key, value] of expected) expect(merged.get(key)).toBe(value);
      }),
    );
  });
});

describe('coerce', () => {
  test.for([
    ['5', { default: 0 }, 5],
    ['0x10', { default: 0 }, 16],
    [' TRUE ', { default: false }, true],
    [5, { default: '' }, '5'],
    [false, { designType: String }, 'false'],
    ['a, b', { designType: Array }, ['a', 'b']],
    ['5', {}, '5'],
    ['5', { designType: Object }, '5'],
    [null, { default: 3 }, 3],
  ] as const)('%j as %j is %j', ([raw, expected, value]) => {
    expect(coerce('k', { value: raw as never }, expected as never)).toEqual(value);
  });

  test.for([
    ['x', { default: 0 }],
    ['', { default: 0 }],
    ['yes', { default: false }],
    [[1], { default: '' }],
    [5, { designType: Array }],
    ['x', { default: {} }],
  ] as const)('%j is no %j, and the message does not tell the value', ([raw, expected]) => {
    expect(() => coerce('k', { value: raw as never }, expected as never)).toThrow(
      expect.objectContaining({ code: 'CONFIG_VALUE_INVALID', field: 'k' }),
    );
  });

  test('a schema that answers later is refused', () => {
    const schema = { '~standard': { version: 1, vendor: 'test', validate: async () => ({ value: 1 }) } } as const;
    expect(() => coerce('k', { value: 1 }, { schema })).toThrow(/asynchronously/);
  });
});
