import { describe, DiscoveryError, isPrototypeKey, messageOf, type ConfigDocument } from '../model/index.js';
import { readYaml } from './yaml.js';

/** A value of a configuration: what JSON can say. Objects have no prototype; everything is frozen. */
export type ConfigData =
  null | string | number | boolean | readonly ConfigData[] | { readonly [key: string]: ConfigData };

/** The keys and values of one document: dotted keys, each with a value that isn't an object. */
export type FlatConfig = ReadonlyMap<string, ConfigData>;

/** A longer text is no configuration. */
const MAX_CHARACTERS = 10 * 1024 * 1024;

/** Keys of one document, and parts of one key. */
const MAX_KEYS = 100_000;
const MAX_DEPTH = 100;

/**
 * Reads a document. Nested objects and dotted keys mean the same: `checkout: { limit: 5 }` is `checkout.limit: 5`.
 *
 * @throws DiscoveryError `CONFIG_DOCUMENT_INVALID` for a text that doesn't parse, a document that isn't a map of keys, a key
 * that would reach the prototype of objects (`field` names it), more than 10 million characters or 100,000 keys, and what is
 * nested deeper than 100
 */
export async function parseDocument(document: ConfigDocument): Promise<FlatConfig> {
  const { content, id } = document;
  if (content.format === 'entries') return flattenConfig(id, content.entries);
  if (content.format === 'text') return flattenConfig(id, { [id]: content.text });
  return flattenConfig(id, await readText(id, content.format, content.text));
}

/**
 * Data that was read already, as dotted keys and frozen values.
 *
 * @param id names the document in messages
 * @throws DiscoveryError as {@link parseDocument}
 */
export function flattenConfig(id: string, data: unknown): FlatConfig {
  const flat = new Map<string, ConfigData>();
  if (data === null || data === undefined) return flat;
  if (!isObject(data)) throw invalid(id, 'must hold keys and values');
  flatten(flat, id, '', data);
  return flat;
}

async function readText(id: string, format: 'yaml' | 'json' | 'properties', text: string): Promise<unknown> {
  if (text.length > MAX_CHARACTERS) throw invalid(id, `is longer than ${MAX_CHARACTERS} characters`);
  // A byte order mark is no part of the text.
  const clean = text.replace(/^\ufeff/, '');
  if (clean.trim() === '') return null;
  try {
    switch (format) {
      case 'json':
        return JSON.parse(clean) as unknown;
      case 'yaml':
        return await readYaml(clean);
      case 'properties': {
        const { parse } = await import('dot-properties');
        return parse(clean);
      }
    }
  } catch (cause) {
    throw invalid(id, `doesn't parse as ${format}: ${messageOf(cause).split('\n', 1)[0]}`, undefined, cause);
  }
}

function flatten(flat: Map<string, ConfigData>, id: string, prefix: string, data: object): void {
  for (const [key, value] of Object.entries(data)) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (isObject(value) && Object.keys(value).length > 0) {
      checkKey(id, path);
      flatten(flat, id, path, value);
    } else put(flat, id, path, freeze(id, path, value, 0));
  }
}

function put(flat: Map<string, ConfigData>, id: string, key: string, value: ConfigData): void {
  checkKey(id, key);
  if (flat.size >= MAX_KEYS) throw invalid(id, `holds more than ${MAX_KEYS} keys`);
  flat.set(key, value);
}

function checkKey(id: string, key: string): void {
  const parts = key.split('.', MAX_DEPTH + 1);
  if (parts.length > MAX_DEPTH) throw invalid(id, `is nested deeper than ${MAX_DEPTH} at ${describe(key)}`, key);
  for (const part of parts) {
    if (isPrototypeKey(part)) throw invalid(id, `has the key '${key}', which is reserved in JavaScript objects`, key);
  }
}

/** Copies data of any parser into frozen data of our own. */
function freeze(id: string, path: string, value: unknown, depth: number): ConfigData {
  if (depth > MAX_DEPTH) throw invalid(id, `is nested deeper than ${MAX_DEPTH} at ${describe(path)}`, path);
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) {
    return Object.freeze(value.map((item, index) => freeze(id, `${path}[${index}]`, item, depth + 1)));
  }
  if (isObject(value)) {
    const copy = Object.create(null) as Record<string, ConfigData>;
    for (const [key, item] of Object.entries(value)) {
      checkKey(id, `${path}.${key}`);
      copy[key] = freeze(id, `${path}.${key}`, item, depth + 1);
    }
    return Object.freeze(copy);
  }
  throw invalid(id, `has a value of an unknown kind at '${path}'`, path);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function invalid(id: string, problem: string, field?: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError('CONFIG_DOCUMENT_INVALID', `the configuration document '${id}' ${problem}`, {
    field: field ?? id,
    ...(cause === undefined ? {} : { cause }),
  });
}
