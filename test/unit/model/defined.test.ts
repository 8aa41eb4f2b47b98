import { expect, it } from 'vitest';
import { defined } from '../../../lib/model/index.js';

it('defined leaves out what is undefined, and nothing else', () => {
  const maybe = (value: string | undefined): string | undefined => value;
  const fields = { a: maybe('x'), b: maybe(undefined), c: null, d: 0, e: '', f: false };
  // The compiler sees fields that may be missing, and none that may be undefined.
  const copy: { a?: string; b?: string; c: null; d: number; e: string; f: boolean } = defined(fields);
  expect(Object.entries(copy)).toEqual([
    ['a', 'x'],
    ['c', null],
    ['d', 0],
    ['e', ''],
    ['f', false],
  ]);
  expect(copy).not.toBe(fields);
});

it('defined makes no way to the prototype', () => {
  const copy = defined(JSON.parse('{"__proto__":{"a":1}}') as object);
  expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
  expect('a' in copy).toBe(false);
});
