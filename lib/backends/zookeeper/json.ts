import { describe, DiscoveryError } from '../../model/index.js';

/** A JSON object from a stranger: nothing is known of its fields. */
export type JsonObject = Readonly<Record<string, unknown>>;

const DECODER = new TextDecoder('utf-8', { fatal: true });

/** @throws DiscoveryError `INVALID_INSTANCE` when the data isn't the JSON of an object */
export function parseObject(data: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(DECODER.decode(data));
  } catch (error) {
    throw new DiscoveryError('INVALID_INSTANCE', 'the record is not JSON', { cause: error });
  }
  if (isObject(value)) return value;
  throw new DiscoveryError('INVALID_INSTANCE', `the record must be a JSON object, got ${describe(value)}`);
}

/** True for a JSON object, false for lists and everything else. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field's text; undefined when it is no text or an empty one. */
export function textField(object: JsonObject, key: string): string | undefined {
  const value = Object.hasOwn(object, key) ? object[key] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A field's own value. */
export function field(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
