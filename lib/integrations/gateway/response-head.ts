import type { ServerResponse } from 'node:http';
import { changeHeaders, isHopByHop, namedBy, type HeaderChanges, type HeaderList } from './header-list.js';

/** The head of an upstream's answer. */
export interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  /** Names and values in turn, as bytes. */
  readonly raw: readonly Buffer[];
}

/** Headers of which both what the app and what the service says is told. */
const MERGED: ReadonlySet<string> = new Set(['vary', 'set-cookie', 'server-timing', 'link']);

/**
 * The headers of an answer, without those of the connection that it came over.
 * @throws Error for a transfer coding that isn't taken off, so that nobody could read what it is about
 */
export function responseHeaders(raw: readonly Buffer[], changes: HeaderChanges | undefined): HeaderList {
  const all: HeaderList = [];
  let connection: string | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = latin1(raw[i]);
    const lower = name.toLowerCase();
    // Told on, since what it announces is.
    if (isHopByHop(lower) && lower !== 'trailer') {
      if (
        lower === 'transfer-encoding' &&
        latin1(raw[i + 1])
          .trim()
          .toLowerCase() !== 'chunked'
      ) {
        throw new Error('the service answered in a transfer coding other than chunks');
      }
      if (lower === 'connection') connection = latin1(raw[i + 1]).toLowerCase();
      continue;
    }
    all.push(name, latin1(raw[i + 1]));
  }
  const named = namedBy(connection?.trim());
  const kept = named.size === 0 ? all : withoutNames(all, named);
  return changeHeaders(kept, changes);
}

/**
 * Writes the head. What the app has set itself (CORS, security headers) counts before what the service says.
 * @throws TypeError for what is no header
 */
export function writeResponseHead(response: ServerResponse, head: ResponseHead, headers: HeaderList): void {
  const { status, statusText } = head;
  const own = response.getHeaderNames();
  if (own.length === 0) {
    response.writeHead(status, statusText, headers);
    return;
  }
  const taken = new Set(own);
  // Express's mark is nothing that the app wants said of a service's answer.
  if (response.getHeader('x-powered-by') === 'Express') {
    response.removeHeader('x-powered-by');
    taken.delete('x-powered-by');
  }
  const decides = decidesOnOrigins(response, own);
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const lower = name.toLowerCase();
    if (taken.has(lower) && !MERGED.has(lower)) continue;
    if (decides && lower.startsWith('access-control-')) continue;
    response.appendHeader(name, headers[i + 1] ?? '');
  }
  response.writeHead(status, statusText);
}

/**
 * Whether the app decides by itself which origins may read its answers (CORS). The service has no say in it then: its leave for
 * credentials beside the app's for origins, or for an origin that the app has just refused, would be a policy that nobody made.
 * Of a refusal `Vary: Origin` is all that there is to see.
 */
function decidesOnOrigins(response: ServerResponse, own: readonly string[]): boolean {
  if (own.some((name) => name.startsWith('access-control-'))) return true;
  const vary = response.getHeader('vary');
  return vary !== undefined && /(?:^|[\s,])origin(?:$|[\s,])/i.test(String(vary));
}

/** Names and values in turn, as pairs for `addTrailers`. */
export function trailerPairs(raw: readonly Buffer[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([latin1(raw[i]), latin1(raw[i + 1])]);
  return pairs;
}

function withoutNames(headers: HeaderList, names: ReadonlySet<string>): HeaderList {
  const kept: HeaderList = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!names.has(name.toLowerCase())) kept.push(name, headers[i + 1] ?? '');
  }
  return kept;
}

function latin1(bytes: Buffer | undefined): string {
  return bytes === undefined ? '' : bytes.toString('latin1');
}
