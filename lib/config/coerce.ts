import { describe, DiscoveryError } from '../model/index.js';
import { ownTextAt, type ConfigData, type OwnText } from './reading/index.js';
import { describeIssues, type SchemaIssue, type StandardSchema } from './standard-schema.js';

/** What a value is expected to be. */
export interface ConfigExpectation<T = unknown> {
  /** Used when the key isn't configured; its type is what a configured text is turned into. */
  readonly default?: T | undefined;
  /** Checks and turns the value; wins over every other hint. Must answer synchronously. */
  readonly schema?: StandardSchema<T> | undefined;
  /** The declared type of a decorated property: `Number`, `Boolean`, `String`, `Array` … */
  readonly designType?: unknown;
  /** The type of a list's elements. @default that of the default's first element */
  readonly elementType?: ElementType | undefined;
}

/** What the elements of a list are expected to be. */
export type ElementType = StringConstructor | NumberConstructor | BooleanConstructor;

/** A value as it is configured. */
export interface RawValue {
  readonly value: ConfigData;
  readonly text?: OwnText;
  /** Placeholders in it that have no value. */
  readonly unresolved?: readonly string[];
}

/**
 * The value of a key as the app wants it. Its type comes from the schema, else from the default, else from the declared
 * type of the property: a configured `'100'` becomes 100 where a number is wanted, and `000415` stays that where a text is.
 *
 * @throws DiscoveryError `CONFIG_VALUE_MISSING` or `CONFIG_VALUE_INVALID`, naming the key
 */
export function coerce<T>(key: string, found: RawValue | undefined, expected: ConfigExpectation<T>): T {
  const raw = found?.value;
  if (found?.unresolved !== undefined && expected.schema === undefined) {
    const names = found.unresolved.map((name) => `'\${${name}}'`).join(', ');
    const message = `'${key}' refers to ${names}, which isn't configured and has no default`;
    throw new DiscoveryError('CONFIG_VALUE_MISSING', message, { field: key });
  }
  if (expected.schema !== undefined) return bySchema(key, raw ?? expected.default, found?.text, expected.schema);
  if (raw === undefined || raw === null) {
    if (expected.default !== undefined) return expected.default;
    throw new DiscoveryError('CONFIG_VALUE_MISSING', `'${key}' isn't configured and has no default`, { field: key });
  }
  const type = expected.default === undefined ? typeOfDesign(expected.designType) : typeOfValue(expected.default);
  if (type === undefined) return raw as T;
  if (type === 'list') return toList(key, raw, found?.text, expected) as T;
  return toType(key, raw, found?.text, type) as T;
}

type TargetType = 'string' | 'number' | 'boolean' | 'list' | 'object' | 'bytes';

function bySchema<T>(key: string, value: unknown, text: OwnText, schema: StandardSchema<T>): T {
  let result = validated(key, value, schema);
  if (result.issues !== undefined && text !== undefined) {
    // Where the schema wants a text, a scalar is what was written.
    const repaired = withOwnTexts(value, text, result.issues);
    if (repaired !== value) result = validated(key, repaired, schema);
  }
  if (result.issues === undefined) return result.value;
  if (value === undefined) {
    const message = `'${key}' isn't configured and has no default: ${describeIssues(result.issues)}`;
    throw new DiscoveryError('CONFIG_VALUE_MISSING', message, { field: key });
  }
  throw invalid(key, `doesn't fit its schema: ${describeIssues(result.issues)}`);
}

function validated<T>(key: string, value: unknown, schema: StandardSchema<T>) {
  const result = schema['~standard'].validate(value);
  if (!(result instanceof Promise)) return result;
  result.catch(() => {});
  throw invalid(key, 'has a schema that answers asynchronously; only synchronous schemas can be used');
}

function withOwnTexts(value: unknown, text: OwnText, issues: readonly SchemaIssue[]): unknown {
  return issues.reduce((repaired, { path = [] }) => {
    const steps = path.map((step) => (typeof step === 'object' ? step.key : step));
    return withOwnText(repaired, text, steps);
  }, value);
}

function withOwnText(value: unknown, text: OwnText, [step, ...rest]: readonly PropertyKey[]): unknown {
  if (step === undefined) return typeof text === 'string' ? text : value;
  if (typeof value !== 'object' || value === null || typeof step === 'symbol') return value;
  const inner = (value as Readonly<Record<string | number, unknown>>)[step];
  const repaired = withOwnText(inner, ownTextAt(text, step), rest);
  if (repaired === inner) return value;
  return Array.isArray(value) ? value.with(Number(step), repaired) : { ...value, [step]: repaired };
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
    case Uint8Array:
    case Buffer:
      return 'bytes';
    default:
      return undefined;
  }
}

function typeOfValue(value: unknown): TargetType | undefined {
  if (Array.isArray(value)) return 'list';
  if (value instanceof Uint8Array) return 'bytes';
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

/** A list; a text is one too, separated by commas. Its elements have the type that is asked for, or the default's have. */
function toList(
  key: string,
  raw: ConfigData,
  text: OwnText,
  { default: list, elementType }: ConfigExpectation,
): unknown {
  const items: readonly ConfigData[] | undefined = Array.isArray(raw)
    ? (raw as readonly ConfigData[])
    : typeof raw === 'string'
      ? raw.split(',').map((item) => item.trim())
      : undefined;
  if (items === undefined) throw mustBe(key, raw, 'list');
  const type =
    elementType !== undefined ? typeOfDesign(elementType) : Array.isArray(list) ? typeOfValue(list[0]) : undefined;
  if (type === undefined || type === 'list') return items;
  return items.map((item, index) => toType(`${key}[${index}]`, item, ownTextAt(text, index), type));
}

function toType(key: string, raw: ConfigData, text: OwnText, type: Exclude<TargetType, 'list'>): unknown {
  switch (type) {
    case 'string':
      if (typeof raw === 'string') return raw;
      if (typeof text === 'string' && !(raw instanceof Uint8Array)) return text;
      if (raw instanceof Uint8Array) return Buffer.from(raw).toString('utf8');
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
    case 'bytes':
      // A copy: bytes can't be frozen.
      if (raw instanceof Uint8Array) return Buffer.from(raw);
      if (typeof raw === 'string') return Buffer.from(raw, 'utf8');
      break;
    case 'object':
      if (typeof raw === 'object' && !Array.isArray(raw) && !(raw instanceof Uint8Array)) return raw;
      break;
  }
  throw mustBe(key, raw, type);
}

function mustBe(key: string, raw: ConfigData, type: TargetType): DiscoveryError {
  // The value itself may be a secret: only its kind is told.
  return invalid(
    key,
    `must be a ${type}, got ${typeof raw === 'string' ? 'a text that is none' : describe(typeof raw)}`,
  );
}

function invalid(key: string, problem: string): DiscoveryError {
  return new DiscoveryError('CONFIG_VALUE_INVALID', `'${key}' ${problem}`, { field: key });
}
