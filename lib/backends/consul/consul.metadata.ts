import { isPrototypeKey, type Metadata } from '../../model/index.js';

/** Begins a key that stands for one with characters that Consul refuses. */
const ENCODED = 'nsd-key_';

/** Begins keys that this library uses for itself. */
const RESERVED = /^nsd-(?:key_|scheme$|weight$)/;

/**
 * Metadata with keys that Consul takes: letters, digits, `-` and `_`. Other keys are written as `nsd-key_` and their UTF-8
 * bytes, of which those that aren't letters, digits or `-` are `_` and two hexadecimal digits.
 */
export function encodeMetadata(metadata: Metadata): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [encodeKey(key), value]));
}

/** The metadata that {@link encodeMetadata} was given; of foreign entries whatever isn't encoded, as it is. */
export function decodeMetadata(
  meta: Readonly<Record<string, string>>,
  leaveOut: readonly string[],
): Record<string, string> {
  // Without a prototype: the keys are strangers'.
  const metadata = Object.create(null) as Record<string, string>;
  for (const [key, value] of Object.entries(meta)) {
    if (leaveOut.includes(key)) continue;
    const decoded = decodeKey(key);
    if (!isPrototypeKey(decoded)) metadata[decoded] = value;
  }
  return metadata;
}

function encodeKey(key: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(key) && !RESERVED.test(key)) return key;
  let encoded = ENCODED;
  for (const byte of Buffer.from(key, 'utf8')) {
    const char = String.fromCharCode(byte);
    encoded += /[A-Za-z0-9-]/.test(char) ? char : `_${byte.toString(16).padStart(2, '0')}`;
  }
  return encoded;
}

/** The key that an encoded one stands for; any other as it is. */
export function decodeKey(key: string): string {
  if (!key.startsWith(ENCODED)) return key;
  const bytes: number[] = [];
  for (const [part, hex] of key.slice(ENCODED.length).matchAll(/_([0-9a-f]{2})|[A-Za-z0-9-]/g)) {
    bytes.push(hex === undefined ? part.charCodeAt(0) : Number.parseInt(hex, 16));
  }
  const decoded = Buffer.from(bytes).toString('utf8');
  // Not of our making: it stays what it is.
  return encodeKey(decoded) === key ? decoded : key;
}
