import type { Type } from '@nestjs/common';
import {
  camelCase,
  coerce,
  rawValue,
  type ConfigData,
  type StandardSchema,
  type OwnText,
  type PropertyTree,
} from '../../config/index.js';
import { configClassOf, decoratedProperties, type ConfigClassProperty } from './config-class.js';

/**
 * An object of a class, filled from a tree and frozen.
 *
 * Its properties are those that are decorated, and the fields that a new object of it has: those take the type of their initial
 * value. With a schema, the object is what the schema makes of the keys below the prefix.
 *
 * @throws DiscoveryError `CONFIG_VALUE_MISSING` or `CONFIG_VALUE_INVALID`, naming the key
 */
export function bindConfig(type: Type, tree: PropertyTree): object {
  const configClass = configClassOf(type);
  if (configClass?.schema !== undefined) return bindBySchema(type, tree, configClass.prefix, configClass.schema);
  return bindProperties(type, tree, configClass?.prefix ?? '');
}

function bindProperties(type: Type, tree: PropertyTree, prefix: string): object {
  const target = new type() as Record<string, unknown>;
  const decorated = decoratedProperties(type);
  for (const property of new Set([...Object.keys(target), ...(decorated?.keys() ?? [])])) {
    const declared = decorated?.get(property) ?? { optional: true, designType: undefined };
    target[property] = bindProperty(tree, `${prefix}.${declared.name ?? property}`, target[property], declared);
  }
  return Object.freeze(target);
}

function bindProperty(tree: PropertyTree, key: string, initial: unknown, declared: ConfigClassProperty): unknown {
  const { designType, of, optional = false, schema } = declared;
  if (schema === undefined && isNestedClass(designType)) {
    if (optional && initial === undefined && tree.get(key) === undefined) return undefined;
    return bindProperties(designType, tree, key);
  }
  const raw = rawValue(tree, key);
  const byDefault = declared.default ?? initial;
  if (raw === undefined && byDefault === undefined && optional) return undefined;
  return coerce(key, raw, { default: byDefault, schema, designType, elementType: of });
}

function bindBySchema(type: Type, tree: PropertyTree, prefix: string, schema: StandardSchema): object {
  const value = tree.get(prefix);
  const named = { value: camelCased(value ?? Object.freeze({})), text: textsBelow(tree, prefix) };
  const result = coerce(prefix, named, { schema });
  return Object.freeze(Object.assign(Object.create(type.prototype as object) as object, result));
}

/** The own texts of the scalars below a key, in the shape of the object. */
function textsBelow(tree: PropertyTree, prefix: string): OwnText {
  const root: Record<string, OwnText> = {};
  for (const key of tree.keysBelow(prefix)) {
    const text = tree.property(key)?.text;
    if (text === undefined) continue;
    const steps = key.split('.').slice(prefix.split('.').length).map(nameOf);
    const last = steps.pop() as string;
    let at = root;
    for (const step of steps) {
      const inner = at[step];
      at = (typeof inner === 'object' ? inner : (at[step] = {})) as Record<string, OwnText>;
    }
    at[last] = text;
  }
  return root;
}

function camelCased(value: ConfigData): ConfigData {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return (value as readonly ConfigData[]).map(camelCased);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [nameOf(name), camelCased(item)]));
}

/** Only what is written with dashes: other names may be data, as those of services are. */
function nameOf(name: string): string {
  return name.includes('-') ? camelCase(name) : name;
}

function isNestedClass(type: unknown): type is Type {
  return typeof type === 'function' && decoratedProperties(type as Type) !== undefined;
}
