import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anything,
  callable,
  checked,
  checkOptions,
  either,
  flag,
  integerBetween,
  listOf,
  literal,
  milliseconds,
  numberBetween,
  object,
  oneOf,
  port,
  recordOf,
  renamed,
  required,
  satisfying,
  text,
  withDefaults,
  type Check,
} from '../../../lib/backend/index.js';
import { discoveryErrorOf } from '../model/helpers.js';

const one = (check: Check, value: unknown) => () => checkOptions('consul()', { it: value }, { it: check });

describe('checkOptions', () => {
  const fields = {
    host: text,
    port,
    tls: object({ ca: text, verify: flag }),
    servers: listOf(object({ url: text })),
    headers: recordOf(text),
  };
  const problem = (options: unknown) => discoveryErrorOf(() => checkOptions('consul()', options, fields));

  it('takes what is right, and what is left out or undefined', () => {
    const all = {
      host: 'h',
      port: 1,
      tls: { ca: 'x', verify: true },
      servers: [{ url: 'u' }],
      headers: { a: 'b' },
    };
    for (const options of [{}, all, { host: undefined, tls: { ca: undefined } }, Object.create(null)]) {
      expect(() => checkOptions('consul()', options, fields)).not.toThrow();
    }
  });

  it.each<[unknown, string]>([
    [{ hots: 'h' }, 'hots'],
    [{ hots: undefined }, 'hots'],
    [{ host: 5 }, 'host'],
    [{ host: null }, 'host'],
    [{ port: 70_000 }, 'port'],
    [{ tls: true }, 'tls'],
    [{ tls: { ca: 5 } }, 'tls.ca'],
    [{ tls: { cert: 'x' } }, 'tls.cert'],
    [{ servers: { url: 'u' } }, 'servers'],
    [{ servers: [{ url: 'u' }, { url: 5 }] }, 'servers[1].url'],
    [{ servers: [{ url: 'u', x: 1 }] }, 'servers[0].x'],
    [{ servers: [null] }, 'servers[0]'],
    [{ headers: { a: 5 } }, 'headers.a'],
    [{ headers: [] }, 'headers'],
    [undefined, 'options'],
    [null, 'options'],
    [[], 'options'],
    ['text', 'options'],
    [JSON.parse('{ "__proto__": { "host": 5 } }'), '__proto__'],
    [JSON.parse('{ "tls": { "__proto__": {} } }'), 'tls.__proto__'],
    [JSON.parse('{ "headers": { "__proto__": "x" } }'), 'headers.__proto__'],
    [{ constructor: 1 }, 'constructor'],
    [{ toString: 1 }, 'toString'],
  ])('%j: names %s', (options, field) => {
    const error = problem(options);
    expect(error).toMatchObject({ code: 'INVALID_OPTION', field });
    expect(error.message).toContain(`consul(): ${field} `);
  });

  it('names the options that there are, when one is unknown', () => {
    expect(problem({ hots: 1 }).message).toContain('is no option; the options are host, port, tls, servers, headers');
  });

  it('checks what is there, not what is inherited', () => {
    expect(() => checkOptions('x()', Object.create({ host: 5 }), fields)).not.toThrow();
  });

  it('lets other errors through', () => {
    const bug = new Error('a bug in a check');
    const throwing = (): never => {
      throw bug;
    };
    expect(one(throwing, 1)).toThrow(bug);
    expect(one(either('x', throwing), 1)).toThrow(bug);
  });

  it('tells no secret that stands in the wrong place', () => {
    const secret = 's3cr3t-token';
    const cases: [Check, unknown][] = [
      [object({ user: text }), secret],
      [listOf(text), `nats://u:${secret}@host`],
      [recordOf(text), secret],
      [callable, secret],
      [text, 123_456],
      [either('a text or a list', listOf(text), object({})), secret],
      [oneOf('a', 'b'), `http://u:${secret}@host`],
    ];
    for (const [check, value] of cases) {
      const error = discoveryErrorOf(one(check, value));
      expect(error.message).not.toMatch(/s3cr3t|123456/);
      expect(error.message).toMatch(/got (a text|a number|'http:\/\/host')$/);
    }
  });
});

describe('required', () => {
  const check = required(['url', 'name'], object({ url: text, name: text, other: text }));

  it('names what is missing, at any depth', () => {
    const missing = (options: unknown) => discoveryErrorOf(() => checkOptions('x()', options, { deep: listOf(check) }));
    expect(missing({ deep: [{ url: 'u', name: 'n' }, { url: 'u' }] })).toMatchObject({
      field: 'deep[1].name',
      message: 'x(): deep[1].name is required',
    });
    expect(missing({ deep: [{ url: undefined, name: 'n' }] }).field).toBe('deep[0].url');
    expect(missing({ deep: ['no object'] }).field).toBe('deep[0]');
    expect(one(check, { url: 'u', name: 'n' })).not.toThrow();
  });
});

describe('renamed', () => {
  const fields = {
    limitMs: milliseconds(),
    timeoutMs: renamed('limitMs'),
    tls: object({ name: renamed('servername') }),
  };
  const problem = (options: unknown) => discoveryErrorOf(() => checkOptions('x()', options, fields));

  it('says what a field is called now', () => {
    expect(problem({ timeoutMs: 5 })).toMatchObject({
      code: 'INVALID_OPTION',
      field: 'timeoutMs',
      message: 'x(): timeoutMs is called `limitMs`',
    });
    expect(problem({ tls: { name: 'secret' } }).message).toBe('x(): tls.name is called `servername`');
  });

  it('is not among the options that there are', () => {
    expect(problem({ limit: 5 }).message).toContain('the options are limitMs, tls');
  });

  it('is nothing when it is undefined', () => {
    expect(() => checkOptions('x()', { timeoutMs: undefined }, fields)).not.toThrow();
  });
});

describe('literal and satisfying', () => {
  it('say what is expected, and of what is there only the kind', () => {
    expect(discoveryErrorOf(one(literal(false), 'secret')).message).toBe('consul(): it must be false, got a text');
    expect(discoveryErrorOf(one(literal('a'), 5)).message).toBe("consul(): it must be 'a', got a number");
    const even = satisfying('an even number', (value) => typeof value === 'number' && value % 2 === 0);
    expect(discoveryErrorOf(one(even, 'secret')).message).toBe('consul(): it must be an even number, got a text');
  });
});

describe('checked', () => {
  interface Options {
    readonly host?: string;
    readonly port?: number;
  }
  const given = (options: Options) => checked('x()', options, { host: text, port }, { port: 80 });

  it('fills in what is left out or undefined, and changes nothing that is given', () => {
    const options: Options = { host: 'h' };
    const settings = given(options);
    // The compiler knows which of them is always there.
    const [there, perhaps]: [number, string | undefined] = [settings.port, settings.host];
    expect([there, perhaps]).toEqual([80, 'h']);
    expect(options).toEqual({ host: 'h' });
    expect(given({ port: 81 })).toEqual({ port: 81 });
    expect(given({ port: undefined } as unknown as Options)).toEqual({ port: 80 });
    expect(Object.isFrozen(settings)).toBe(true);
  });

  it('checks first', () => {
    expect(discoveryErrorOf(() => given({ port: 0 }))).toMatchObject({ code: 'INVALID_OPTION', field: 'port' });
  });

  it('of options that were checked: withDefaults', () => {
    expect(withDefaults<Options, { host: string }>({ port: 1 }, { host: 'h' })).toEqual({ host: 'h', port: 1 });
  });
});

describe('either', () => {
  const url = either('a text or { host, port }', text, object({ host: text, port }));

  it('takes what one of them takes', () => {
    expect(one(url, 'u')).not.toThrow();
    expect(one(url, { host: 'h', port: 1 })).not.toThrow();
  });

  it('says what is expected, or the problem deeper inside when there is one', () => {
    expect(discoveryErrorOf(one(url, 5)).message).toBe('consul(): it must be a text or { host, port }, got a number');
    expect(discoveryErrorOf(one(url, { host: 'h', port: 0 })).field).toBe('it.port');
    expect(discoveryErrorOf(one(either('x', listOf(text), text), ['a', 5])).field).toBe('it[1]');
  });
});

describe('the simple checks', () => {
  it.each<[string, Check, unknown[], unknown[]]>([
    ['text', text, ['a', ' '], ['', 5, null, ['a'], Object('a')]],
    ['flag', flag, [true, false], ['true', 0, null]],
    ['callable', callable, [() => 1, class {}], ['f', null, {}]],
    ['anything', anything, [null, 5, {}], []],
    ['numberBetween', numberBetween(0, 1), [0, 0.5, 1], [-0.1, 1.1, Number.NaN, Infinity, '1', null, 1n]],
    ['integerBetween', integerBetween(1, 3), [1, 3], [0, 4, 1.5, Number.NaN, Infinity, '2', 2n]],
    ['milliseconds', milliseconds(5), [5, 2 ** 31 - 1], [4, 2 ** 31, Infinity, '5s']],
    ['milliseconds()', milliseconds(), [0], [-1]],
    ['port', port, [1, 65_535], [0, 65_536, '80']],
    ['oneOf', oneOf('a', 'b'), ['a', 'b'], ['c', '', 5, null, ['a']]],
    ['listOf', listOf(text), [[], ['a']], [['a', 5], 'a', { length: 1, 0: 'a' }]],
    ['literal', literal(false), [false], [true, 0, 'false', null]],
    ['literal', literal('a'), ['a'], ['b', ['a'], null]],
    ['satisfying', satisfying('even', (value) => value === 2), [2], [1, '2', null]],
    ['recordOf', recordOf(flag), [{}, { a: true }], [{ a: 1 }, [true], null]],
  ])('%s', (_, check, right, wrong) => {
    for (const value of right) expect(one(check, value), String(value)).not.toThrow();
    for (const value of wrong) {
      expect(discoveryErrorOf(one(check, value)).code, String(value)).toBe('INVALID_OPTION');
    }
  });

  it('never throw anything but an INVALID_OPTION that names the field', () => {
    const checks = [text, flag, callable, port, milliseconds(), oneOf('a'), listOf(text), recordOf(text), object({})];
    fc.assert(
      fc.property(
        fc.anything({ withNullPrototype: true, withBigInt: true }),
        fc.constantFrom(...checks),
        (value, check) => {
          try {
            one(check, value)();
          } catch (error) {
            expect(error).toMatchObject({ code: 'INVALID_OPTION' });
          }
        },
      ),
    );
  });
});
