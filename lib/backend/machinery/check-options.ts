import { isIP } from 'node:net';
import { defined, describe, DiscoveryError, isPrototypeKey } from '../../model/index.js';

/** Throws an `OptionProblem` for a value that is wrong. `path` is the field's name from the outermost object. */
export type Check = (value: unknown, path: string) => void;

/**
 * Checks an options object as the compiler would have, for those who have none: no unknown fields, right types and
 * ranges. A field that is undefined counts as left out.
 *
 * @param what begins the message: `consul()`
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function checkOptions(what: string, options: unknown, fields: Readonly<Record<string, Check>>): void {
  try {
    object(fields)(options, '');
  } catch (error) {
    if (!(error instanceof OptionProblem)) throw error;
    const field = error.path === '' ? 'options' : error.path;
    throw new DiscoveryError('INVALID_OPTION', `${what}: ${field} ${error.problem}`, { field });
  }
}

/** `Options` after the table `Defaults`: what stands there is never undefined; of the others, what may be left out may be. */
export type Resolved<Options, Defaults> = {
  readonly [K in keyof Options]-?: K extends keyof Defaults
    ? Exclude<Options[K], undefined>
    : {} extends Pick<Options, K>
      ? Options[K] | undefined
      : Options[K];
};

/** Options that were checked, over the table of their defaults. A field that is undefined counts as left out. */
export function withDefaults<Options extends object, Defaults extends Partial<Options>>(
  given: Options,
  defaults: Defaults,
): Resolved<Options, Defaults> {
  return Object.freeze({ ...defaults, ...defined(given) }) as Resolved<Options, Defaults>;
}

/**
 * Checks an options object, and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION`, as {@link checkOptions}
 */
export function checked<Options extends object, Defaults extends Partial<Options>>(
  what: string,
  given: Options,
  fields: Readonly<Record<string, Check>>,
  defaults: Defaults,
): Resolved<Options, Defaults> {
  checkOptions(what, given, fields);
  return withDefaults(given, defaults);
}

/** What a check throws: `problem` follows the field's name in the message. */
export class OptionProblem extends Error {
  constructor(
    readonly path: string,
    readonly problem: string,
  ) {
    super(`${path} ${problem}`);
  }
}

function fail(path: string, expected: string, value: unknown): never {
  throw new OptionProblem(path, `must be ${expected}, got ${describe(value)}`);
}

/** A value of the wrong kind: only the kind is told, since a secret may stand in the wrong place. */
function failKind(path: string, expected: string, value: unknown): never {
  const told =
    typeof value === 'string' && value !== '' ? 'a text' : typeof value === 'number' ? 'a number' : undefined;
  throw new OptionProblem(path, `must be ${expected}, got ${told ?? describe(value)}`);
}

/** An object with these fields and no others. */
export function object(fields: Readonly<Record<string, Check>>): Check {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) failKind(path, 'an object', value);
    for (const [key, field] of Object.entries(value)) {
      const fieldPath = path === '' ? key : `${path}.${key}`;
      const check = Object.hasOwn(fields, key) ? fields[key] : undefined;
      if (check === undefined) {
        const options = Object.keys(fields).filter((name) => !('renamedTo' in (fields[name] ?? {})));
        throw new OptionProblem(fieldPath, `is no option; the options are ${options.join(', ')}`);
      }
      if (field !== undefined) check(field, fieldPath);
    }
  };
}

/** A field that may not be left out. Goes around the check of the whole object. */
export function required(keys: readonly string[], check: Check): Check {
  return (value, path) => {
    check(value, path);
    for (const key of keys) {
      if ((value as Record<string, unknown>)[key] === undefined) {
        throw new OptionProblem(path === '' ? key : `${path}.${key}`, 'is required');
      }
    }
  };
}

/** A field that goes by another name: what other libraries call it, or this one called it once. */
export function renamed(name: string): Check {
  const check: Check = (_, path) => {
    throw new OptionProblem(path, `is called \`${name}\``);
  };
  return Object.assign(check, { renamedTo: name });
}

/** A text that isn't empty. */
export const text: Check = satisfying('a text that is not empty', (value) => typeof value === 'string' && value !== '');

/** True or false. */
export const flag: Check = (value, path) => {
  if (typeof value !== 'boolean') fail(path, 'true or false', value);
};

/** A function. */
export const callable: Check = satisfying('a function', (value) => typeof value === 'function');

/** Any value at all. */
export const anything: Check = () => {};

/** A finite number within bounds. */
export function numberBetween(min: number, max: number): Check {
  return (value, path) => {
    if (typeof value !== 'number' || !(value >= min && value <= max))
      fail(path, `a number from ${min} to ${max}`, value);
  };
}

/** A whole number within bounds. */
export function integerBetween(min: number, max: number): Check {
  return (value, path) => {
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      fail(path, `a whole number from ${min} to ${max}`, value);
    }
  };
}

/** A duration in milliseconds, at least `min`. */
export function milliseconds(min = 0): Check {
  return numberBetween(min, 2 ** 31 - 1);
}

/** A TCP port. */
export const port: Check = integerBetween(1, 65535);

const SERVER = /^(?:\[(.+)\]|([^:]+))(?::([1-9][0-9]{0,4}))?$/;

/** A name server. Not left to Node, which takes any port, and ends the process at 0. */
export const nameServer: Check = satisfying(
  "an IP address with or without a port, such as '127.0.0.1:8600'",
  (value) => {
    const [, v6 = '', v4 = v6, portText = '53'] = SERVER.exec(String(value)) ?? [];
    return typeof value === 'string' && (isIP(value) > 0 || (isIP(v4) > 0 && Number(portText) <= 65535));
  },
);

/** One of these texts. */
export function oneOf(...allowed: readonly string[]): Check {
  return (value, path) => {
    if (!allowed.includes(value as string)) fail(path, `one of ${allowed.map((one) => `'${one}'`).join(', ')}`, value);
  };
}

/** This value and no other. */
export function literal(expected: string | number | boolean): Check {
  return satisfying(typeof expected === 'string' ? `'${expected}'` : String(expected), (value) => value === expected);
}

/** A value that `is` one; of another only the kind is told, since a secret may stand in the wrong place. */
export function satisfying(expected: string, is: (value: unknown) => boolean): Check {
  return (value, path) => {
    if (!is(value)) failKind(path, expected, value);
  };
}

/** A list whose every item passes. */
export function listOf(item: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) failKind(path, 'a list', value);
    value.forEach((one, index) => item(one, `${path}[${index}]`));
  };
}

/** An object with any keys whose every value passes. */
export function recordOf(item: Check): Check {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) failKind(path, 'an object', value);
    for (const [key, one] of Object.entries(value)) {
      const itemPath = path === '' ? key : `${path}.${key}`;
      if (isPrototypeKey(key)) throw new OptionProblem(itemPath, 'is a reserved word of JavaScript objects');
      item(one, itemPath);
    }
  };
}

/** Passes when one of the checks does; the message is `expected`. */
export function either(expected: string, ...checks: readonly Check[]): Check {
  return (value, path) => {
    let inside: OptionProblem | undefined;
    for (const check of checks) {
      try {
        check(value, path);
        return;
      } catch (error) {
        if (!(error instanceof OptionProblem)) throw error;
        // A problem deeper inside says more than "none of these".
        if (error.path !== path) inside ??= error;
      }
    }
    if (inside !== undefined) throw inside;
    failKind(path, expected, value);
  };
}
