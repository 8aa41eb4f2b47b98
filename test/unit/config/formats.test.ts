import { describe, expect, it } from 'vitest';
import { entriesOf, PropertyTree, readDocument, type ConfigEntries } from '../../../lib/config/index.js';
import type { ConfigFormat } from '../../../lib/model/index.js';
import { rejectionOf } from '../backend/helpers.js';

const read = (text: string, format: ConfigFormat = 'yaml'): Promise<readonly ConfigEntries[]> =>
  readDocument({ id: 'orders.yaml', revision: '1', content: { format, text } });

describe('a YAML document', () => {
  it('is merged where it says so, as other readers of it do', async () => {
    const text = `
defaults: &d { retries: 3, timeout: 1 }
more: &m { limit: 7 }
orders: { <<: *d, timeout: 9 }
stock: { <<: [*d, *m], limit: 8 }
`;
    const tree = PropertyTree.merge(await read(text));
    expect(tree.get('orders')).toEqual({ retries: 3, timeout: 9 });
    expect(tree.get('stock')).toEqual({ retries: 3, timeout: 1, limit: 8 });
    expect(tree.keys.filter((key) => key.includes('<<'))).toEqual([]);
  });

  it.each([
    ['a: 1\nb: 2\na: 3', /'a' twice in one map at line 3, column 1/],
    ['x:\n  a: 1\n  a: 2', /'a' twice in one map at line 3, column 3/],
  ])('with a key twice is refused, with its place: %j', async (text, place) => {
    const error = await rejectionOf(read(text));
    expect(error.code).toBe('CONFIG_DOCUMENT_INVALID');
    expect(error.message).toContain("'orders.yaml'");
    expect(error.message).toMatch(place);
  });

  it('of many keys is read and merged, each compared with nobody', async () => {
    // By comparing each with each this takes minutes.
    const text = Array.from({ length: 100_000 }, (_, at) => `key-${at}: ${at}`).join('\n');
    const parts = await read(text);
    const tree = PropertyTree.merge([...parts, ...parts]);
    expect(tree.keys).toHaveLength(100_000);
    expect(tree.get('key-99999')).toBe(99_999);
  });

  it('is refused beyond the limits, which the message names', async () => {
    const many = Array.from({ length: 100_001 }, (_, at) => `k${at}: 1`).join('\n');
    const deep = Array.from({ length: 200 }, () => 'a').join('.');
    for (const [text, limit] of [
      [many, 'more than 100000 keys'],
      [`${deep}: 1`, 'deeper than 100'],
      [`a: ${'x'.repeat(10 * 1024 * 1024)}`, 'longer than'],
    ] as const) {
      const error = await rejectionOf(read(text));
      expect(error.code).toBe('CONFIG_DOCUMENT_INVALID');
      expect(error.message).toContain(limit);
      expect(error.message.length).toBeLessThan(300);
    }
  });
});

describe('merging', () => {
  it('removes what a higher layer covers, as often as it is covered', () => {
    const layer = (entries: Readonly<Record<string, string | null>>): ConfigEntries => entriesOf('doc', entries);
    const tree = PropertyTree.merge([
      layer({ 'a.b.c': '1', 'a.b.d': '1', 'a.e': '1', f: '1' }),
      layer({ 'a.b': '2', 'f.g': '2' }),
      layer({ 'a.b.c': '3', f: null }),
    ]);
    expect(tree.keys).toEqual(['a.b.c', 'a.e']);
    expect(tree.get('a')).toEqual({ b: { c: '3' }, e: '1' });
  });

  it('of a layer that covers each of many subtrees costs what it removes', () => {
    const below = new Map(Array.from({ length: 50_000 }, (_, at) => [`k${at}.x`, { value: '1' }] as const));
    const above = new Map(Array.from({ length: 50_000 }, (_, at) => [`k${at}`, { value: '2' }] as const));
    expect(PropertyTree.merge([below, above]).keys).toHaveLength(50_000);
  });
});
