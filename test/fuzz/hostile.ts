import fc from 'fast-check';

/** Names that reach where they shouldn't, numbers at the edges, texts that end lines, hosts and paths. */
const NASTY = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '',
  ' ',
  '.',
  '..',
  '../..',
  '/',
  '//',
  '%2e%2e%2f',
  '%',
  '%zz',
  '\0',
  '\r\n',
  '\u001b[2J',
  '\u2028',
  '\ud800',
  '\ufeff',
  '*',
  '>',
  '@',
  ':',
  ':0',
  ':65536',
  '[::1]',
  '[::1',
  'http://a@b:c@d/',
  'lb://',
  'lb://%',
  'null',
  'NaN',
  '-1',
  '1e309',
  '9007199254740993',
  '0x10',
  '<<',
  '&a [*a,*a]',
  '!!js/function x',
  '{{{{',
  '[[[[',
  '${a}',
  '"',
  "'",
  '\\',
];

/** A text from outside: anything, nasty things, and anything around nasty things. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(...NASTY),
  fc
    .array(fc.oneof(fc.constantFrom(...NASTY), fc.string({ maxLength: 8 })), { maxLength: 8 })
    .map((parts) => parts.join('')),
  fc
    .tuple(fc.constantFrom(...NASTY, 'a', 'a.', '[', '{"a":', '- ', '%25'), fc.integer({ min: 0, max: 5000 }))
    .map(([part, times]) => part.repeat(Math.min(times, Math.ceil(20_000 / Math.max(1, part.length))))),
);

export const bytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  text.map((one) => Buffer.from(one)),
);

const leaf: fc.Arbitrary<unknown> = fc.oneof(
  text,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(0, -1, 80, 65_536, 1.5, Number.MAX_SAFE_INTEGER),
);

/** Data as `JSON.parse` gives it, with keys that a reader looks for and others, `__proto__` as an own key included. */
export function json(keys: readonly string[]): fc.Arbitrary<unknown> {
  const key = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...keys) }, { weight: 1, arbitrary: text });
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(key, tie('value')), { maxLength: 10 }).map(objectOf),
    ),
  }));
  return value;
}

function objectOf(entries: readonly (readonly [string, unknown])[]): object {
  const object = {};
  for (const [key, value] of entries)
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  return object;
}

/** A record that is valid but for what is changed in it. */
export function spoiled(valid: unknown, keys: readonly string[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    json(keys),
    fc
      .array(fc.tuple(fc.constantFrom(...keys), json(keys)), { maxLength: 4 })
      .map((changes) => spoil(valid, new Map(changes))),
  );
}

function spoil(value: unknown, changes: ReadonlyMap<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((item) => spoil(item, changes));
  if (typeof value !== 'object' || value === null) return value;
  return objectOf(
    Object.entries(value).map(([key, item]) => [key, changes.has(key) ? changes.get(key) : spoil(item, changes)]),
  );
}
