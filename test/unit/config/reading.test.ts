import { describe, expect, it } from 'vitest';
import { PropertyTree, readDocument } from '../../../lib/config/index.js';
import type { ConfigFormat } from '../../../lib/model/index.js';
import { rejectionOf } from '../backend/helpers.js';

const read = (format: ConfigFormat, text: string) =>
  readDocument({ id: 'doc', revision: '1', content: { format, text } });
const valueOf = async (format: ConfigFormat, text: string, key = '') =>
  PropertyTree.merge(await read(format, text)).get(key);

describe('YAML', () => {
  it.each([
    ['yes', true],
    ['Off', false],
    ['y', 'y'],
    ['010', 8],
    ['08', '08'],
    ['0o10', '0o10'],
    ['0x1F', 31],
    ['0b101', 5],
    ['1_000', 1000],
    ['1:30', 90],
    ['12:30:45', 45045],
    ['1e3', 1000],
    ['1.5', 1.5],
    ['.5', 0.5],
    ['-.inf', -Infinity],
    ['~', undefined],
    ['Null', undefined],
    ['2020-01-01', '2020-01-01'],
    ['"010"', '010'],
    ["'yes'", 'yes'],
    ['!!str 010', '010'],
    ['!!int "7"', 7],
    ['!!float 7', 7],
    ['9007199254740993', '9007199254740993'],
    ['12345678901234567890', '12345678901234567890'],
    ['!!binary aGVsbG8=', new Uint8Array(Buffer.from('hello'))],
    ['|\n  two\n  lines\n', 'two\nlines\n'],
    ['>-\n  two\n  lines\n', 'two lines'],
    ['{}', {}],
    ['[]', []],
  ])('a: %s is %j', async (text, value) => {
    expect(await valueOf('yaml', `a: ${text}`, 'a')).toEqual(value);
  });

  it('keys are what is written', async () => {
    expect(await valueOf('yaml', 'on: 1\n010: 2\n1.10: 3\n~: 4')).toEqual({
      on: 1,
      '010': 2,
      '1': { '10': 3 },
      '~': 4,
    });
  });

  it('of several documents: the later wins, in their order', async () => {
    const text = '# first\na: 1\nb: 1\n---\nb: 2\n---\n---\nc: 3\n...\n';
    expect(await read('yaml', text)).toHaveLength(4);
    expect(await valueOf('yaml', text)).toEqual({ a: 1, b: 2, c: 3 });
  });

  it('an alias stands for what its anchor did, where it stands', async () => {
    const text =
      'a: &x { v: 1 }\nb: *x\nc: &x { v: 2 }\nd: *x\ne: { <<: [{ v: 9 }, *x], w: 1 }\nf: &l [1, &s two]\ng: [*l, *s]';
    expect(await valueOf('yaml', text)).toEqual({
      a: { v: 1 },
      b: { v: 1 },
      c: { v: 2 },
      d: { v: 2 },
      e: { v: 9, w: 1 },
      f: [1, 'two'],
      g: [[1, 'two'], 'two'],
    });
  });

  it.each([
    ['a: &a { <<: *a }', 'merges a map into itself'],
    ['a: &a [*a]', 'an alias within what it stands for'],
    ['a: &a { b: *a }', 'an alias within what it stands for'],
    ['a: *none', "the alias 'none'"],
    ['a: !ruby/object x', 'the tag !ruby/object'],
    ['a: !!python/object x', 'the tag !!python/object'],
    ['a: !!int x', 'is no int'],
    ['? [1]\n: x', 'a key that is a list or a map'],
    ['<<: 1', 'something that is no map'],
    ['a: "x', 'at line 1, column 6'],
    ['[1]', 'must hold keys and values'],
    ['text', 'must hold keys and values'],
    ['a: 1\n---\n- 1', 'must hold keys and values at line 3'],
  ])('that can not be used: %s', async (text, problem) => {
    const error = await rejectionOf(read('yaml', text));
    expect(error.code).toBe('CONFIG_DOCUMENT_INVALID');
    expect(error.message).toContain(problem);
  });

  it('that becomes without end what aliases make of it is refused', async () => {
    const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x]'];
    for (let i = 1; i < 30; i += 1) {
      bomb.push(`a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(',')}]`);
    }
    const merges = ['d: &d {' + Array.from({ length: 1000 }, (_, i) => `k${i}: 1`).join(',') + '}'];
    for (let i = 0; i < 5000; i += 1) merges.push(`m${i}: {<<: *d}`);
    const chain = ['a0: &a0 [x]'];
    for (let i = 1; i < 5000; i += 1) chain.push(`a${i}: &a${i} [*a${i - 1}]`);
    for (const lines of [bomb, merges, chain]) {
      expect((await rejectionOf(read('yaml', lines.join('\n')))).code).toBe('CONFIG_DOCUMENT_INVALID');
    }
  });
});

describe('JSON', () => {
  it('with a key twice is refused, with its place', async () => {
    const error = await rejectionOf(read('json', '{\n "a": 1,\n "b": { "c": 1, "c": 2 } }'));
    expect(error.message).toContain("the key 'c' twice in one object at line 3");
  });

  it('keeps what numbers were written as, and integers that no number holds', async () => {
    const [entries] = await read('json', '{"a":1.10,"b":12345678901234567890,"c":[1.0]}');
    expect(entries?.get('a')).toEqual({ value: 1.1, text: '1.10', line: 1 });
    expect(entries?.get('b')?.value).toBe('12345678901234567890');
    expect(entries?.get('c')?.text).toEqual(['1.0']);
  });

  it.each(['{"a":1,}', "{'a':1}", '{"a":1} x', '// c\n{}', '{"a":NaN}'])('is strict: %s', async (text) => {
    expect((await rejectionOf(read('json', text))).code).toBe('CONFIG_DOCUMENT_INVALID');
  });
});

describe('properties', () => {
  it('have lists by index, and documents divided by #---', async () => {
    const text =
      'servers[0].host=a\nservers[0].port=1\nservers[1].host=b\nnames[0]=x\nnames[1]=y\nlabels[my.key]=z\n#---\nq=2\nq=3';
    expect(await valueOf('properties', text)).toEqual({
      servers: [{ host: 'a', port: '1' }, { host: 'b' }],
      names: ['x', 'y'],
      'labels[my': { 'key]': 'z' },
      q: '3',
    });
    const parts = await read('properties', text);
    expect(parts.map((entries) => entries.get('q')?.line)).toEqual([undefined, 9]);
  });

  it('with a gap in a list are refused', async () => {
    const error = await rejectionOf(read('properties', 'a[0]=x\na[2]=y'));
    expect(error.message).toContain('has no a[1], but a later one');
    expect((await rejectionOf(read('properties', 'a[0].__proto__=x'))).code).toBe('CONFIG_DOCUMENT_INVALID');
  });
});

describe('TOML and texts', () => {
  it('TOML is read', async () => {
    const text = 'a = 1\n[b]\nc = [1, 2]\nd = 1979-05-27\n[[e]]\nf = "x"';
    expect(await valueOf('toml', text)).toEqual({
      a: 1,
      b: { c: [1, 2], d: '1979-05-27' },
      e: [{ f: 'x' }],
    });
    expect((await rejectionOf(read('toml', 'a = 1\na = 2'))).code).toBe('CONFIG_DOCUMENT_INVALID');
  });

  it('what is read as a text is one value under its name', async () => {
    expect(await valueOf('text', '<a/>', 'doc')).toBe('<a/>');
  });
});
