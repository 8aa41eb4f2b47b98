import { describe, DiscoveryError } from '../../../model/index.js';
import type { NatsMessageHeaders } from './port.js';

/** Headers of a message: names in their exact spelling, each with one or more values. Immutable. */
export type NatsHeaderMap = ReadonlyMap<string, readonly string[]>;

/** Headers to send: one value or several for each name. */
export type NatsHeadersInput = NatsHeaderMap | Readonly<Record<string, string | readonly string[]>>;

const VERSION = 'NATS/1.0';
const NAME = /^[\x21-\x39\x3b-\x7e]+$/;
const LINE_BREAK = /[\r\n]/;
const NO_HEADERS: NatsHeaderMap = new Map();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Headers as both NATS libraries take them: they call `encode()` and nothing else. */
export interface EncodableHeaders {
  encode(): Uint8Array;
}

/**
 * Copies headers into a map, checking them.
 *
 * @throws DiscoveryError `INVALID_OPTION` for a name or a value that can't be sent
 */
export function toHeaders(input: NatsHeadersInput | undefined): NatsHeaderMap {
  if (input === undefined) return NO_HEADERS;
  const entries = input instanceof Map ? input : Object.entries(input);
  const headers = new Map<string, readonly string[]>();
  for (const [name, value] of entries as Iterable<[string, string | readonly string[]]>) {
    const values = typeof value === 'string' ? [value] : value;
    if (!NAME.test(name)) throw invalid(name, 'is no header name: printable ASCII without a colon', name);
    if (!Array.isArray(values)) throw invalid(name, 'must be a text or a list of texts', values);
    for (const one of values as readonly unknown[]) {
      if (typeof one !== 'string' || LINE_BREAK.test(one)) throw invalid(name, 'must be a text of one line', one);
    }
    headers.set(name, values as readonly string[]);
  }
  return headers;
}

/** The headers as a NATS library takes them; undefined when there are none, so that none are sent. */
export function toEncodable(headers: NatsHeaderMap): EncodableHeaders | undefined {
  return headers.size === 0 ? undefined : { encode: () => encodeHeaderBlock(headers) };
}

/** The header block as it goes over the wire. */
export function encodeHeaderBlock(headers: NatsHeaderMap): Uint8Array {
  let block = `${VERSION}\r\n`;
  for (const [name, values] of headers) for (const value of values) block += `${name}: ${value}\r\n`;
  return encoder.encode(`${block}\r\n`);
}

/** Reads a header block, as JetStream keeps it beside a message; what is malformed is left out. */
export function parseHeaderBlock(block: Uint8Array): NatsHeaderMap {
  const [first, ...lines] = decoder.decode(block).split('\r\n');
  if (first?.startsWith(VERSION) !== true) return NO_HEADERS;
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    const name = line.slice(0, colon);
    const known = headers.get(name);
    const value = line.slice(colon + 1).trim();
    if (known === undefined) headers.set(name, [value]);
    else known.push(value);
  }
  return headers;
}

/** The headers of a message that was received. */
export function headersOf(headers: NatsMessageHeaders | undefined): NatsHeaderMap {
  if (headers === undefined) return NO_HEADERS;
  return new Map(headers.keys().map((name) => [name, headers.values(name)]));
}

/** The first value of a header, by its exact name. */
export function firstOf(headers: NatsHeaderMap, name: string): string | undefined {
  return headers.get(name)?.[0];
}

/** Any text as a header's value: one line, without control characters, at most 1024 characters. */
export function headerText(text: string): string {
  return text
    .replace(/[\u0000-\u001f\u007f]+/g, ' ')
    .trim()
    .slice(0, 1024);
}

function invalid(name: string, problem: string, value: unknown): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `the header ${describe(name)} ${problem}, got ${describe(value)}`, {
    field: 'headers',
  });
}
