import { STATUS_CODES } from 'node:http';
import { AxiosHeaders } from 'axios';
import type { HeaderBag } from './axios-headers.js';

/** Headers that make no sense twice: the first one counts, as in Node's own client. */
const SINGLE = new Set(
  (
    'age authorization content-length content-type etag expires from host if-modified-since if-unmodified-since ' +
    'last-modified location max-forwards proxy-authorization referer retry-after server user-agent'
  ).split(' '),
);

/**
 * The headers as Node's client and axios give them: names in lower case, repeated ones joined, `set-cookie` a list.
 * Written straight into the object: axios's own `set` compares each name with all others.
 */
export function toResponseHeaders(raw: readonly Buffer[]): HeaderBag {
  const headers = new AxiosHeaders();
  const target = headers as unknown as Record<string, string | string[]>;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = text(raw[i]).toLowerCase();
    const value = trimmed(text(raw[i + 1]));
    if (name === 'set-cookie') {
      const cookies = target[name];
      if (Array.isArray(cookies)) cookies.push(value);
      else target[name] = [value];
    } else if (name in headers) {
      // Node's client drops it, too.
      if (name !== '__proto__') merge(headers, name, value);
    } else {
      target[name] = value;
    }
  }
  return headers;
}

/** A repeated header, or one with the name of a method of AxiosHeaders. */
function merge(headers: HeaderBag, name: string, value: string): void {
  const before = headers.get(name);
  if (before === undefined || before === null) headers.set(name, value);
  else if (!SINGLE.has(name)) headers.set(name, `${String(before)}${name === 'cookie' ? '; ' : ', '}${value}`, true);
}

function text(bytes: Buffer | undefined): string {
  return bytes === undefined ? '' : bytes.toString('latin1');
}

/** Without the blanks that a server may leave at the end of a line. */
function trimmed(value: string): string {
  const last = value.charCodeAt(value.length - 1);
  return last === 32 || last === 9 ? value.trimEnd() : value;
}

/**
 * The reason phrase. undici forgets what came before when a packet ends within it: the usual phrases are known.
 */
export function toStatusText(status: number, received: string): string {
  const usual = STATUS_CODES[status];
  return received !== '' && usual !== undefined && usual.endsWith(received) ? usual : received;
}
