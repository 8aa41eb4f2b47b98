import { isPrototypeKey } from '../../../model/index.js';

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** An object of it. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/** What is read of a service's OpenAPI document; the rest of it is of no use to anyone outside. */
export interface ServiceDocument {
  /** `3.0.3` */
  readonly version: string;
  readonly paths: JsonObject;
  /** By their sections: `schemas`, `responses` … */
  readonly components: JsonObject;
  readonly tags: readonly JsonObject[];
  /** What all operations require that say nothing themselves. */
  readonly security: Json | undefined;
  /** The path of its first server, which its paths stand below, and whether that is of the server that it came from. */
  readonly server: { readonly path: string; readonly isOwn: boolean };
}

/** Why a service's document isn't shown. Says nothing of addresses. */
export class DocumentProblem extends Error {}

/** What is nested deeper is no document that a person wrote. */
const MAX_DEPTH = 100;

/**
 * Reads what a service says its document is. It is a stranger's word: what isn't understood is left out.
 * @throws DocumentProblem
 */
export function readDocument(text: string): ServiceDocument {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new DocumentProblem('it is no JSON');
  }
  const document = asObject(plain(parsed as Json, 0));
  const version = document['openapi'];
  if (typeof version !== 'string' || !/^3\.\d+\.\d+$/.test(version)) {
    throw new DocumentProblem('it is no OpenAPI 3');
  }
  const tags = document['tags'];
  return {
    version,
    paths: asObject(document['paths']),
    components: asObject(document['components']),
    tags: isList(tags) ? tags.filter(isObject).filter(({ name }) => typeof name === 'string') : [],
    security: document['security'],
    server: serverOf(document['servers']),
  };
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !isList(value);
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** An object, or an empty one for what is none. */
export function asObject(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

/** The value without keys that would become something else in an object of JavaScript's. @throws DocumentProblem */
function plain(value: Json, depth: number): Json {
  if (depth > MAX_DEPTH) throw new DocumentProblem('it is nested too deep');
  if (isList(value)) return value.map((one) => plain(one, depth + 1));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([key]) => !isPrototypeKey(key));
  return Object.fromEntries(entries.map(([key, one]) => [key, plain(one, depth + 1)]));
}

function serverOf(servers: Json | undefined): ServiceDocument['server'] {
  const first = isList(servers) ? asObject(servers[0])['url'] : undefined;
  const url = typeof first === 'string' ? first : '';
  const isOwn = url.startsWith('/') && !url.startsWith('//');
  const path = isOwn ? url : (/^https?:\/\/[^/?#]+([^?#]*)/i.exec(url)?.[1] ?? '');
  return { path: path.includes('{') ? '' : path.replace(/\/+$/, ''), isOwn };
}
