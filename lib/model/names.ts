import { DiscoveryError } from './errors.js';

const CONTROL = /[\u0000-\u001f\u007f]/;

/** Half of a pair: no text, and nothing that can be sent or encoded. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** What could begin a line of its own in a log, or hide the one it stands in. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Keys that would reach an object's prototype. */
const PROTOTYPE_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** True for `__proto__`, `constructor` and `prototype`, which outside data may not use as keys. */
export function isPrototypeKey(key: string): boolean {
  return PROTOTYPE_KEYS.has(key);
}

/**
 * Checks the name of a service, an instance or a backend: a text of 1 to 255 characters without slashes,
 * backslashes, control characters or a surrounding blank, and not `.` or `..`.
 *
 * @throws DiscoveryError `INVALID_NAME`, naming `field`
 */
export function assertName(value: unknown, field: string): asserts value is string {
  const problem = nameProblem(value);
  if (problem !== undefined) {
    throw new DiscoveryError('INVALID_NAME', `${field} ${problem}, got ${describe(value)}`, { field });
  }
}

/** Why `value` can't be a name, or undefined when it can. */
export function nameProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'must be a text';
  if (value === '') return 'must not be empty';
  if (value.length > 255) return 'must have at most 255 characters';
  if (value === '.' || value === '..') return 'must not be a path';
  if (/[/\\]/.test(value)) return 'must not contain a slash or a backslash';
  if (CONTROL.test(value)) return 'must not contain control characters';
  if (LONE_SURROGATE.test(value)) return 'must be well-formed Unicode';
  if (value.trim() !== value) return 'must not begin or end with a blank';
  if (isPrototypeKey(value)) return 'must not be a reserved word of JavaScript objects';
  return undefined;
}

/**
 * Checks the name of a service, which may be a path of names with single slashes between them: ZooKeeper has services in
 * folders. Whether a backend has them is its own to say.
 *
 * @throws DiscoveryError `INVALID_NAME`, naming `field`
 */
export function assertServiceName(value: unknown, field: string): asserts value is string {
  const problem = serviceNameProblem(value);
  if (problem !== undefined) {
    throw new DiscoveryError('INVALID_NAME', `${field} ${problem}, got ${describe(value)}`, { field });
  }
}

/** Why `value` can't be the name of a service, or undefined when it can. */
export function serviceNameProblem(value: unknown): string | undefined {
  if (typeof value !== 'string' || !value.includes('/')) return nameProblem(value);
  if (value.length > 255) return 'must have at most 255 characters';
  const names = value.split('/');
  if (names.includes('')) return 'must not begin or end with a slash, or have two in a row';
  return names.map(nameProblem).find((problem) => problem !== undefined);
}

/**
 * Turns any name into one safe file name and back again ({@link fromFileName}): letters, digits, `.`, `_` and `-` stay,
 * everything else, and a leading dot, is percent-encoded.
 *
 * @throws DiscoveryError `INVALID_NAME` when the name is empty or no well-formed text, or its file name would exceed
 * 240 bytes
 */
export function toFileName(name: string, field: string): string {
  const encoded = encodeURIComponent(LONE_SURROGATE.test(name) ? '' : name)
    .replace(/[!'()*~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/^\./, '%2E');
  if (encoded === '' || encoded.length > 240) {
    throw new DiscoveryError('INVALID_NAME', `${field} can't be used as a file name: ${describe(name)}`, { field });
  }
  return encoded;
}

/** The name that {@link toFileName} was given, or undefined when this is no file name of its making. */
export function fromFileName(fileName: string): string | undefined {
  try {
    const name = decodeURIComponent(fileName);
    return toFileName(name, 'file name') === fileName ? name : undefined;
  } catch {
    return undefined;
  }
}

/** A text from outside on one line, with its control characters written out: fit for a log. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A short, quoted form of any value for messages: one line, and without the user and password of a URL. */
export function describe(value: unknown): string {
  if (typeof value === 'string') {
    const safe = printable(value.replace(/\/\/[^/?#\s]*@/g, '//'));
    return safe.length > 60 ? `'${safe.slice(0, 57)}...'` : `'${safe}'`;
  }
  if (Array.isArray(value)) return 'a list';
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean') {
    return String(value);
  }
  return `a ${typeof value}`;
}
