import type { Type } from '@nestjs/common';
import type { ElementType, StandardSchema } from '../../config/index.js';

const PREFIX = 'nestjs-service-discovery:config-prefix';
const PROPERTIES = 'nestjs-service-discovery:config-properties';

/** Options of `@ConfigProperties`. */
export interface ConfigPropertiesOptions<T = unknown> {
  /**
   * Checks and turns the whole object; any Standard Schema that answers synchronously. It is given the keys below the prefix with
   * names in camel case: `pool-size` as `poolSize`. @default the types of the properties
   */
  readonly schema?: StandardSchema<T>;
}

/** Options of `@ConfigProperty`. */
export interface ConfigPropertyOptions<T = unknown> {
  /** Its name below the prefix. @default the property's */
  readonly name?: string;
  /** Used while it isn't configured. @default the field's own initial value */
  readonly default?: T;
  /** It may be undefined. @default false: without value and default the app doesn't start */
  readonly optional?: boolean;
  /** The type of a list's elements: `String`, `Number` or `Boolean`. @default as they are configured */
  readonly of?: ElementType;
  /** Checks and turns this one; any Standard Schema that answers synchronously. */
  readonly schema?: StandardSchema<T>;
}

/** What a class says of the configuration that it is the shape of. */
export interface ConfigClass {
  readonly prefix: string;
  readonly schema: StandardSchema | undefined;
}

/** What a property says. */
export interface ConfigClassProperty extends ConfigPropertyOptions {
  readonly designType: unknown;
}

/** Remembers what `@ConfigProperties` says. */
export function setPrefix(type: Type, configClass: ConfigClass): void {
  Reflect.defineMetadata(PREFIX, configClass, type);
}

/** What `@ConfigProperties` says of a class, or undefined. */
export function configClassOf(type: unknown): ConfigClass | undefined {
  return typeof type === 'function' ? (Reflect.getOwnMetadata(PREFIX, type) as ConfigClass | undefined) : undefined;
}

/** The decorated properties of a prototype, to add to: its own, which begin as those that it inherits. */
export function propertiesOf(prototype: object): Map<string, ConfigClassProperty> {
  const own = Reflect.getOwnMetadata(PROPERTIES, prototype) as Map<string, ConfigClassProperty> | undefined;
  if (own !== undefined) return own;
  const inherited = Reflect.getMetadata(PROPERTIES, prototype) as Map<string, ConfigClassProperty> | undefined;
  const properties = new Map(inherited);
  Reflect.defineMetadata(PROPERTIES, properties, prototype);
  return properties;
}

/** The decorated properties of a class; undefined when it has none. */
export function decoratedProperties(type: Type): ReadonlyMap<string, ConfigClassProperty> | undefined {
  return Reflect.getMetadata(PROPERTIES, type.prototype as object) as Map<string, ConfigClassProperty> | undefined;
}
