import axios, { type InternalAxiosRequestConfig } from 'axios';
import type { HeaderBag } from './axios-headers.js';
import { ACCEPT_ENCODING, ACCEPT_ENCODING_WITH_ZSTD } from './decompression.js';

/** A request's headers as undici takes them: names and values in turn. */
export type WireHeaders = (string | string[])[];

const USER_AGENT = `axios/${axios.VERSION}`;

/** Bytes that may stand in a header. */
const CLEAN = /^[\t\x20-\x7e\x80-\xff]*$/;
const DIRTY = /[^\t\x20-\x7e\x80-\xff]+/g;

/** Headers of the connection that only Node's own client lets a caller write; such a call goes through it. */
const NODE_ONLY = new Set(['expect', 'transfer-encoding', 'upgrade', 'keep-alive', 'trailer', 'te']);

/** Whether a header asks for what undici can't do (`Expect: 100-continue`, `Upgrade` …). */
export function needsNodeClient(headers: HeaderBag): boolean {
  for (const name of Object.keys(headers)) {
    const first = name.charCodeAt(0) | 32;
    // e, t, u, k
    if ((first === 101 || first === 116 || first === 117 || first === 107) && NODE_ONLY.has(name.toLowerCase())) {
      const value: unknown = headers[name];
      if (value !== undefined && value !== null && value !== false) return true;
    }
  }
  return false;
}

/**
 * The headers to send. As axios's own adapter does, sets those that every request has (`User-Agent`,
 * `Accept-Encoding`) in the config, where they are not set already.
 *
 * @param bodyLength bytes of a body of known length; undefined for none and for streams
 * @param auth `user:password`, which replaces an `authorization` header
 */
export function toWireHeaders(
  config: InternalAxiosRequestConfig,
  bodyLength: number | undefined,
  auth: string | undefined,
): WireHeaders {
  const { headers } = config;
  const wire: WireHeaders = [];
  let hasUserAgent = false;
  let hasEncoding = false;
  let hasLength = false;
  for (const name of Object.keys(headers)) {
    const value: unknown = headers[name];
    if (value === undefined) continue;
    switch (name.length) {
      case 10:
        hasUserAgent ||= name.toLowerCase() === 'user-agent';
        break;
      case 13:
        if (auth !== undefined && name.toLowerCase() === 'authorization') {
          delete headers[name];
          continue;
        }
        break;
      case 14:
        hasLength ||= name.toLowerCase() === 'content-length';
        break;
      case 15:
        hasEncoding ||= name.toLowerCase() === 'accept-encoding';
        break;
      default:
    }
    // False and null: the caller wants none.
    if (value === null || value === false) continue;
    wire.push(name, Array.isArray(value) ? value.map(clean) : clean(value));
  }
  if (bodyLength !== undefined && !hasLength) {
    const length = String(bodyLength);
    headers['Content-Length'] = length;
    wire.push('Content-Length', length);
  }
  if (!hasUserAgent) {
    headers['User-Agent'] = USER_AGENT;
    wire.push('User-Agent', USER_AGENT);
  }
  if (!hasEncoding) {
    const accepted =
      config.transitional !== undefined &&
      'advertiseZstdAcceptEncoding' in config.transitional &&
      config.transitional.advertiseZstdAcceptEncoding
        ? ACCEPT_ENCODING_WITH_ZSTD
        : ACCEPT_ENCODING;
    headers['Accept-Encoding'] = accepted;
    wire.push('Accept-Encoding', accepted);
  }
  if (auth !== undefined) wire.push('Authorization', basic(auth));
  return wire;
}

/** An `Authorization` value of `user:password`. */
export function basic(auth: string): string {
  return `Basic ${Buffer.from(auth, 'utf8').toString('base64')}`;
}

function clean(value: unknown): string {
  const text = typeof value === 'string' ? value : String(value);
  return CLEAN.test(text) ? text : text.replace(DIRTY, '').trim();
}
