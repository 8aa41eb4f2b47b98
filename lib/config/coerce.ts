import { describe, DiscoveryError } from '../model/index.js';
import type { ConfigData } from './formats.js';
import { describeIssues, type StandardSchema } from './standard-schema.js';

/** What a value is expected to be. */
export interface ConfigExpectation<T = unknown> {
  /** Used when the key isn't configured; its type is what a configured text is turned into. */
  readonly default?: T | undefined;
  /** Checks and turns the value; wins over every other hint. Must answer synchronously. */
  readonly schema?: StandardSchema<T> | undefined;
  /** The declared type of a decorated property: `Number`, `Boolean`, `String`, `Array` … */
  readonly designType?: unknown;
}

/**
 * The value of a key as the app wants it. Its type comes from the schema, else from the default, else from the declared
 * type of the property: a configured `'100'` becomes 100 where a number is wanted.
 *
 * @throws DiscoveryError `CONFIG_VALUE_MISSING` or `CONFIG_VALUE_INVALID`, naming the key
 */
export function coerce<T>(key: string, raw: ConfigData | undefined, expected: ConfigExpectation<T>): T {
  if (expected.schema !== undefined) return bySchema(key, raw ?? expected.default, expected.schema);
  if (raw === undefined || raw === null) {
    if (expected.default !== undefined) return expected.default;
    throw new DiscoveryError('CONFIG_VALUE_MISSING', `'${key}' isn't configured and has no default`, { field: key });
  }
  const type = expected.default === undefined ? typeOfDesign(expected.designType) : typeOfValue(expected.default);
  return (type === undefined ? raw : toType(key, raw, type)) as T;
}

type TargetType = 'string' | 'number' | 'boolean' | 'list' | 'object';

function bySchema<T>(key: string, value: unknown, schema: StandardSchema<T>): T {
  const result = schema['~standard'].validate(value);
  if (result instanceof Promise) {
    result.catch(() => {});
    throw invalid(key, 'has a schema that answers asynchronously; only synchronous schemas can be used');
  }
  if (result.issues === undefined) return result.value;
  if (value === undefined) {
    const message = `'${key}' isn't configured and has no default: ${describeIssues(result.issues)}`;
    throw new DiscoveryError('CONFIG_VALUE_MISSING', message, { field: key });
  }
  throw invalid(key, `doesn't fit its schema: ${describeIssues(result.issues)}`);
}

function typeOfDesign(type: unknown): TargetType | undefined {
  switch (type) {
    case Number:
      return 'number';
    case String:
      return 'string';
    case Boolean:
      return 'boolean';
    case Array:
      return 'list';
    default:
      return undefined;
  }
}

function typeOfValue(value: unknown): TargetType | undefined {
  if (Array.isArray(value)) return 'list';
  switch (typeof value) {
    case 'number':
      return 'number';
    case 'string':
      return 'string';
    case 'boolean':
      return 'boolean';
    case 'object':
      return value === null ? undefined : 'object';
    default:
      return undefined;
  }
}

function toType(key: string, raw: ConfigData, type: TargetType): unknown {
  switch (type) {
    case 'string':
      if (typeof raw === 'string') return raw;
      if (typeof raw === 'number' || typeof raw === 'boolean') return String(raw);
      break;
    case 'number': {
      const number = typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : raw;
      if (typeof number === 'number' && !Number.isNaN(number)) return number;
      break;
    }
    case 'boolean':
      if (typeof raw === 'boolean') return raw;
      if (typeof raw === 'string' && /^(?:true|false)$/i.test(raw.trim())) return raw.trim().toLowerCase() === 'true';
      break;
    case 'list':
      if (Array.isArray(raw)) return raw;
      if (typeof raw === 'string') return raw.split(',').map((item) => item.trim());
      break;
    case 'object':
      if (typeof raw === 'object' && !Array.isArray(raw)) return raw;
      break;
  }
  // The value itself may be a secret: only its kind is told.
  throw invalid(
    key,
    `must be a ${type}, got ${typeof raw === 'string' ? 'a text that is none' : describe(typeof raw)}`,
  );
}

function invalid(key: string, problem: string): DiscoveryError {
  return new DiscoveryError('CONFIG_VALUE_INVALID', `'${key}' ${problem}`, { field: key });
}
