import { isPrototypeKey } from '../../model/index.js';

/** An object of a server's answer, whose fields may be anything. */
export type Json = Readonly<Record<string, unknown>>;

export const NO_TEXTS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>);

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One object stands where old servers have a list of one. */
export function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return isObject(value) ? [value] : [];
}

/** Of what should be a text; numbers are written, anything else is empty. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

/** Servers write most numbers as texts; what is none is 0. */
export function asNumber(value: unknown): number {
  if (typeof value !== 'string') return typeof value === 'number' && Number.isFinite(value) ? value : 0;
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

/**
 * Texts by name; `@class` is an artefact of the server's encoding, and nested values can't be metadata. What is nothing
 * but texts, as it mostly is, is taken as it came, without a copy.
 */
export function asTexts(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return NO_TEXTS;
  let empty = true;
  for (const key of Object.keys(value)) {
    if (typeof value[key] !== 'string' || key === '@class' || isPrototypeKey(key)) return copiedTexts(value);
    empty = false;
  }
  return empty ? NO_TEXTS : (value as Readonly<Record<string, string>>);
}

function copiedTexts(value: Json): Readonly<Record<string, string>> {
  const texts = Object.create(null) as Record<string, string>;
  for (const [key, one] of Object.entries(value)) {
    if (key === '@class' || isPrototypeKey(key)) continue;
    if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') texts[key] = String(one);
  }
  return texts;
}
