import { checkOptions } from '../../backend/index.js';
import { isStandardSchema, type ConfigExpectation, type ElementType, type StandardSchema } from '../../config/index.js';
import { DiscoveryError } from '../../model/index.js';
import { configDeclarationsOf } from '../declarations.js';
import { declareConfigRef } from '../declared-providers.js';
import { injectToken, prototypeOf } from './discoverable-client.decorator.js';

/** Options of `@ConfigValue`. */
export interface ConfigValueOptions<T = unknown> {
  /** Used while the key isn't configured. */
  readonly default?: T;
  /** Checks and turns the value; any Standard Schema that answers synchronously. */
  readonly schema?: StandardSchema<T>;
  /** The type of a list's elements: `String`, `Number` or `Boolean`. @default that of the default's first element */
  readonly of?: ElementType;
}

/**
 * A live configuration value. On a property it reads the newest value, in instances of every scope:
 * `@ConfigValue('checkout.limit', 100) private readonly limit!: number`. On a constructor parameter it injects a
 * `ConfigRef<T>`, which can be used in the constructor already.
 *
 * The value's type comes from the schema, else from the default, else from the property's declared type. A value that
 * doesn't fit keeps the whole configuration as it was before. A key that has neither value nor default is an error when
 * the app starts.
 *
 * @param key the key, or a prefix, which gives the object of the keys below it
 * @param defaultOrOptions the default, or `{ default, schema }`
 * @publicApi
 */
export function ConfigValue<T = unknown>(
  key: string,
  defaultOrOptions?: T | ConfigValueOptions<T>,
): ParameterDecorator & PropertyDecorator {
  if (typeof key !== 'string' || key === '') {
    throw new DiscoveryError('INVALID_OPTION', '@ConfigValue: key must be a text', { field: 'key' });
  }
  const given: ConfigValueOptions = isOptions(defaultOrOptions) ? defaultOrOptions : { default: defaultOrOptions };
  if (given.schema !== undefined && !isStandardSchema(given.schema)) {
    checkOptions(`@ConfigValue('${key}')`, { schema: given.schema }, {});
  }
  return (target: object, property: string | symbol | undefined, index?: number) => {
    const declarations = configDeclarationsOf(prototypeOf(target));
    if (index !== undefined) {
      const expected: ConfigExpectation = { default: given.default, schema: given.schema, elementType: given.of };
      injectToken(declareConfigRef(key, expected), target, property, index);
      declarations.refs.push({ key, expected });
    } else if (property !== undefined) {
      const designType: unknown = Reflect.getMetadata('design:type', target, property);
      declarations.values.push({
        property,
        key,
        expected: { default: given.default, schema: given.schema, elementType: given.of, designType },
      });
    }
  };
}

/** An object with nothing but `default`, `schema` and `of` is options; any other one is a default. */
function isOptions(value: unknown): value is ConfigValueOptions {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => key === 'default' || key === 'schema' || key === 'of');
}
