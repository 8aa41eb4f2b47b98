import type { IncomingMessage } from 'node:http';
import { StreamSource } from '../../http/index.js';
import { isForwardedClaim } from './forwarded.js';
import { isHopByHop, type HeaderList } from './header-list.js';
import { RequestRefused } from './problem.js';

/** A request's body, as it is sent on. */
export interface ForwardBody {
  /** What goes over the wire; asked for once for each try. */
  open(): Buffer | AsyncIterable<Uint8Array> | null;
  /** Its length where it isn't what the request said. */
  readonly length?: number;
  /** Whether what was read is no longer encoded as the request said. */
  readonly wasDecoded: boolean;
  /** The content type, where the request's own doesn't fit any more. */
  readonly contentType?: string;
  /** Whether it can be sent again, after a try that surely did not come to send it or after another one. */
  isReplayable(wasUnsent: boolean): boolean;
  /** Whether a try failed by it, which says nothing of the service. */
  isCallersFault(): boolean;
  /** Trailers that the request has announced, once it was read; absent where none may be sent on. */
  readonly trailers?: () => HeaderList;
  /** Lets go of the request's stream. */
  release(): void;
}

/** What a parser of the app's has made of a body. */
export interface ParsedBody {
  readonly body?: unknown;
  readonly rawBody?: unknown;
  /** Whether the parser decodes what was compressed before it gives `rawBody` (Express's do, Fastify's don't). */
  readonly decodes: boolean;
}

/**
 * The body to send: the request's stream, or when a parser has read that, its bytes (`rawBody`) or what it was parsed to.
 *
 * @param maxBytes more are refused with 413; Infinity for any number
 * @param onProgress told of each piece that is taken
 * @throws RequestRefused 413, or 500 for a body that somebody else has read and not kept
 */
export function forwardBody(
  request: IncomingMessage,
  parsed: ParsedBody,
  maxBytes: number,
  onProgress: () => void,
): ForwardBody {
  const { headers } = request;
  const length = headers['content-length'];
  if (headers['transfer-encoding'] === undefined && (length === undefined || length === '0')) return NO_BODY;
  if (Number(length) > maxBytes) throw tooLarge(maxBytes);
  if (!request.readableDidRead) return streamed(request, maxBytes, onProgress);
  const bytes = bytesOf(parsed, headers['content-type']);
  if (bytes.data.length > maxBytes) throw tooLarge(maxBytes);
  return {
    open: () => bytes.data,
    length: bytes.data.length,
    wasDecoded: parsed.decodes || bytes.isMadeAnew,
    ...(bytes.contentType === undefined ? {} : { contentType: bytes.contentType }),
    isReplayable: () => true,
    isCallersFault: () => false,
    release: () => {},
  };
}

const NO_BODY: ForwardBody = {
  open: () => null,
  wasDecoded: false,
  isReplayable: () => true,
  isCallersFault: () => false,
  release: () => {},
};

function tooLarge(maxBytes: number): RequestRefused {
  const detail = `the request has more than ${maxBytes} bytes`;
  return new RequestRefused({ status: 413, code: 'REQUEST_TOO_LARGE', detail, closes: true });
}

function streamed(request: IncomingMessage, maxBytes: number, onProgress: () => void): ForwardBody {
  const source = StreamSource.of(request);
  let isTooLarge = false;
  async function* pieces(): AsyncGenerator<Buffer, void> {
    let bytes = 0;
    for await (const piece of source.read()) {
      bytes += piece.length;
      if (bytes > maxBytes) {
        isTooLarge = true;
        throw tooLarge(maxBytes);
      }
      onProgress();
      yield piece;
    }
  }
  return {
    open: pieces,
    wasDecoded: false,
    isReplayable: (wasUnsent) => source.isUntouched || (wasUnsent && source.isWhole),
    isCallersFault: () => isTooLarge || source.failure !== undefined || request.errored !== null,
    ...(request.headers.trailer === undefined || request.headers['transfer-encoding'] === undefined
      ? {}
      : { trailers: () => announcedTrailers(request) }),
    release: () => source.release(),
  };
}

/** What a service may act on before the message has ended: as a trailer it would come after guards and filters have looked. */
const NEVER_TRAILERS =
  /^(?:content-|access-control-|sec-|if-|cache-control$|pragma$|host$|expect$|range$|authorization$|cookie2?$|age$|date$|via$|max-forwards$)/;

/** Those that `Trailer` names and that may be trailers at all (RFC 9110, 6.5.1). */
export function announcedTrailers({ headers, rawTrailers }: IncomingMessage): HeaderList {
  const announced = new Set((headers.trailer ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const list: HeaderList = [];
  for (let i = 0; i + 1 < rawTrailers.length; i += 2) {
    const name = rawTrailers[i] ?? '';
    const lower = name.toLowerCase();
    const isFit = announced.has(lower) && !isHopByHop(lower) && !isForwardedClaim(lower) && !NEVER_TRAILERS.test(lower);
    if (isFit) list.push(name, rawTrailers[i + 1] ?? '');
  }
  return list;
}

interface Bytes {
  readonly data: Buffer;
  /** Whether it was written from what was parsed. */
  readonly isMadeAnew: boolean;
  readonly contentType?: string;
}

function bytesOf({ body, rawBody }: ParsedBody, contentType = ''): Bytes {
  if (Buffer.isBuffer(rawBody)) return { data: rawBody, isMadeAnew: false };
  if (Buffer.isBuffer(body)) return { data: body, isMadeAnew: false };
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();
  const made = (text: string): Bytes => ({
    data: Buffer.from(text),
    isMadeAnew: true,
    // What is written anew is UTF-8.
    ...(/charset\s*=\s*"?(?!utf-?8)/i.test(contentType) ? { contentType: `${type}; charset=utf-8` } : {}),
  });
  if (body !== undefined && (type === 'application/json' || type.endsWith('+json'))) return made(JSON.stringify(body));
  if (typeof body === 'string') return made(body);
  if (typeof body === 'object' && body !== null && type === 'application/x-www-form-urlencoded') {
    return made(formOf(body));
  }
  throw new RequestRefused({
    status: 500,
    code: 'BODY_CONSUMED',
    detail: 'the body was read before it could be passed on',
  });
}

/** What is nested deeper can't have come from a form. */
const MAX_DEPTH = 32;

/** A form, nested ones as `a[b]=c`, which is how they are read. */
function formOf(body: object): string {
  const pairs: string[] = [];
  const write = (name: string, value: unknown, depth: number): void => {
    if (typeof value === 'object' && value !== null && depth < MAX_DEPTH) {
      const isPlainList = Array.isArray(value) && value.every((one) => typeof one !== 'object');
      for (const [key, one] of Object.entries(value)) {
        // A name that stands several times is a list of texts.
        write(isPlainList ? name : `${name}[${key}]`, one, depth + 1);
      }
    } else if (value !== undefined) {
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(text)}`);
    }
  };
  for (const [name, value] of Object.entries(body)) write(name, value, 0);
  return pairs.join('&');
}
