import { describe, DiscoveryError } from '../../../model/index.js';
import { firstOf, headersOf, type NatsHeaderMap } from '../connection/headers.js';
import type { NatsRawMessage } from '../connection/port.js';

/** What was done to a key: it was written, deleted, or deleted together with its history. */
export type KeyValueOperation = 'PUT' | 'DEL' | 'PURGE';

/** One revision of a key. Immutable. */
export interface KeyValueEntry {
  readonly bucket: string;
  readonly key: string;
  /** Empty for a deletion, and where only headers were asked for. */
  readonly value: Uint8Array;
  /** Number of the revision; grows over the whole bucket. */
  readonly revision: number;
  /** When the server stored it, in milliseconds since the epoch by the server's clock. */
  readonly at: number;
  readonly operation: KeyValueOperation;
  readonly headers: NatsHeaderMap;
}

/** Place of a delivered message in its stream and its consumer. */
export interface Delivery {
  readonly streamSequence: number;
  readonly consumerSequence: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Messages of the consumer still to come. */
  readonly pending: number;
}

const KEY = /^[-/=.\w]+$/;
const PATTERN = /^[-/=.\w*>]+$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** @throws DiscoveryError `INVALID_OPTION` for what can't be the name of a bucket */
export function assertBucket(value: unknown, field: string): asserts value is string {
  if (typeof value !== 'string' || !/^[-\w]{1,200}$/.test(value)) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      `${field} must be letters, digits, '-' and '_' only, got ${describe(value)}`,
      { field },
    );
  }
}

/** @throws DiscoveryError `INVALID_NAME` for what can't be a key (or with `pattern`, a filter of keys) */
export function assertKey(key: unknown, pattern = false): asserts key is string {
  const valid =
    typeof key === 'string' &&
    key.length <= 2000 &&
    (pattern ? PATTERN : KEY).test(key) &&
    key.split('.').every((token) => token !== '');
  if (!valid) {
    throw new DiscoveryError(
      'INVALID_NAME',
      `a key is tokens of letters, digits and -/_= with single dots between them, got ${describe(key)}`,
      { field: 'key' },
    );
  }
}

/**
 * Any text as one token of a key: letters, digits, `-` and `_` stay, every other byte becomes `=XX`. Characters in
 * `also` stay too.
 */
export function escapeToken(text: string, also = ''): string {
  return text.replace(/[^]/gu, (char) => {
    if (/^[-A-Za-z0-9_]$/.test(char) || also.includes(char)) return char;
    return [...encoder.encode(char)].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
  });
}

/** The text behind {@link escapeToken}; undefined for what that never makes. */
export function unescapeToken(token: string, also = ''): string | undefined {
  const bytes: number[] = [];
  for (let index = 0; index < token.length; index += 1) {
    const char = token.charAt(index);
    if (char !== '=') {
      bytes.push(...encoder.encode(char));
      continue;
    }
    const hex = token.slice(index + 1, index + 3);
    if (!/^[0-9A-F]{2}$/.test(hex)) return undefined;
    bytes.push(Number.parseInt(hex, 16));
    index += 2;
  }
  try {
    const text = decoder.decode(Uint8Array.from(bytes));
    return escapeToken(text, also) === token ? text : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Where a message was delivered from, by its reply subject (`$JS.ACK.…`, in the old form of 9 tokens and the new one of
 * 11 or more); undefined when that is no such subject.
 */
export function readDelivery(reply: string | undefined): Delivery | undefined {
  if (reply?.startsWith('$JS.ACK.') !== true) return undefined;
  const tokens = reply.split('.');
  // The new form has domain and account before the stream, and perhaps a random token at the end.
  const first = tokens.length === 9 ? 5 : tokens.length >= 11 ? 7 : undefined;
  if (first === undefined) return undefined;
  const [streamSequence, consumerSequence, nanoseconds, pending] = tokens.slice(first, first + 4).map(Number);
  const numbers = [streamSequence, consumerSequence, nanoseconds, pending];
  if (!numbers.every((value) => value !== undefined && Number.isFinite(value) && value >= 0)) return undefined;
  return {
    streamSequence: streamSequence ?? 0,
    consumerSequence: consumerSequence ?? 0,
    at: Math.floor((nanoseconds ?? 0) / 1e6),
    pending: pending ?? 0,
  };
}

/** What a message of a bucket's stream did, by its headers. */
export function operationOf(headers: NatsHeaderMap): KeyValueOperation {
  const marker = firstOf(headers, 'Nats-Marker-Reason');
  if (marker !== undefined) return marker === 'Remove' ? 'DEL' : 'PURGE';
  const operation = firstOf(headers, 'KV-Operation');
  return operation === 'DEL' || operation === 'PURGE' ? operation : 'PUT';
}

/** The key that a subject of the bucket stands for; undefined for another subject. */
export function keyOfSubject(bucket: string, subject: string): string | undefined {
  const prefix = `$KV.${bucket}.`;
  return subject.startsWith(prefix) ? subject.slice(prefix.length) : undefined;
}

/** A delivered message as an entry; undefined when it isn't one. */
export function readEntry(
  bucket: string,
  message: NatsRawMessage,
): { readonly entry: KeyValueEntry; readonly delivery: Delivery } | undefined {
  const key = keyOfSubject(bucket, message.subject);
  const delivery = readDelivery(message.reply);
  if (key === undefined || delivery === undefined) return undefined;
  const headers = headersOf(message.headers);
  const entry: KeyValueEntry = Object.freeze({
    bucket,
    key,
    value: message.data,
    revision: delivery.streamSequence,
    at: delivery.at,
    operation: operationOf(headers),
    headers,
  });
  return { entry, delivery };
}
