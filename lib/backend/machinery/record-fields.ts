import { describe, DiscoveryError } from '../../model/index.js';

/*
 * For records that strangers wrote: each function gives a field's value as what it must be, or throws a DiscoveryError
 * `INVALID_INSTANCE` that names the field.
 */

/** An object that is no list. */
export function asObject(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidField(field, 'must be an object', value);
  }
  return Object.fromEntries(Object.entries(value));
}

/** A text that is not empty. */
export function asText(value: unknown, field: string): string {
  if (value === '') throw invalidField(field, 'must not be empty', value);
  return asAnyText(value, field);
}

/** A text, or undefined. */
export function optionalText(value: unknown, field: string): string | undefined {
  return value === undefined ? undefined : asAnyText(value, field);
}

/** A list of texts. */
export function asTexts(value: unknown, field: string): readonly string[] {
  if (!Array.isArray(value)) throw invalidField(field, 'must be a list', value);
  return value.map((one: unknown, index) => asAnyText(one, `${field}[${index}]`));
}

/** A number. */
export function asNumber(value: unknown, field: string): number {
  if (typeof value !== 'number') throw invalidField(field, 'must be a number', value);
  return value;
}

/** The error for a field that is not as it must be. */
export function invalidField(field: string, problem: string, value: unknown): DiscoveryError {
  return new DiscoveryError('INVALID_INSTANCE', `${field} ${problem}, got ${describe(value)}`, { field });
}

function asAnyText(value: unknown, field: string): string {
  if (typeof value !== 'string') throw invalidField(field, 'must be a text', value);
  return value;
}

/** The tags that one of our apps wrote as a JSON list; none for anything else. */
export function tagsFrom(json: string | undefined): readonly string[] {
  if (json === undefined) return [];
  try {
    const tags = JSON.parse(json) as unknown;
    return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
  } catch {
    return [];
  }
}
