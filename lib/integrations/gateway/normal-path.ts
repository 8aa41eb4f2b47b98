/** A request's target, taken apart. */
export interface NormalPath {
  /** The path as it is sent on: no `.` and `..`, no empty segment but a last one; its encoding is left as it was. */
  readonly path: string;
  /** Its segments as they stand there, with an empty one at the end of a path that ends with a slash. */
  readonly written: readonly string[];
  /** The same decoded and without that one: what routes are matched with. */
  readonly segments: readonly string[];
  /** With the question mark, or empty. */
  readonly query: string;
}

/** Longer targets are refused before anything is done with them. */
const MAX_TARGET = 64 * 1024;

/**
 * Makes one form of all that a server may take for the same path: `//`, `/./`, `/../`, `%2e` and `%2E`. What servers read in
 * two ways is refused: an encoded slash or backslash, a plain backslash, control characters, `..;`, what doesn't decode,
 * and a path that leads above its root.
 *
 * @param target as it stands in the request line: `/orders/7?full=1`, also `http://host/orders/7`
 * @returns undefined for what is refused
 */
export function normalPath(target: string): NormalPath | undefined {
  if (target.length > MAX_TARGET) return undefined;
  const relative = target.startsWith('/') ? target : withoutOrigin(target);
  if (relative === undefined) return undefined;
  const end = relative.indexOf('?');
  const written = end === -1 ? relative : relative.slice(0, end);
  const query = end === -1 ? '' : relative.slice(end);
  if (query !== '' && /[^\x21-\xff]|#/.test(query)) return undefined;
  if (PLAIN.test(written)) {
    const parts = written.slice(1).split('/');
    return { path: written, written: parts, segments: parts.at(-1) === '' ? parts.slice(0, -1) : parts, query };
  }
  if (SUSPICIOUS.test(written)) return undefined;
  const kept: string[] = [];
  const segments: string[] = [];
  const parts = written.split('/');
  for (let at = 1; at < parts.length; at += 1) {
    const part = parts[at] ?? '';
    const isLast = at === parts.length - 1;
    const decoded = part.includes('%') ? decode(part) : part;
    if (decoded === undefined || FORBIDDEN.test(decoded)) return undefined;
    const name = decoded.replace(/;.*$/s, '');
    if (name === '..') {
      if (decoded !== name || kept.length === 0) return undefined;
      kept.pop();
      segments.pop();
    } else if (name !== '.' && (part !== '' || isLast)) {
      kept.push(part);
      segments.push(decoded);
    }
    // `/a/.` and `/a/..` are folders.
    if (isLast && (name === '.' || name === '..')) {
      kept.push('');
      segments.push('');
    }
  }
  if (segments.at(-1) === '') segments.pop();
  return { path: `/${kept.join('/')}`, written: kept, segments, query };
}

/** Paths that are as they should be, which most are: no dot begins a segment, nothing is encoded. */
const PLAIN = /^(?:\/[\w\-~!$&'()*+,=:@][\w\-.~!$&'()*+,=:@]*)+\/?$/;

/** Encoded slashes and backslashes, plain ones, control characters, a fragment, what no path may hold. */
const SUSPICIOUS = /%2f|%5c|%00|\\|#|[^\x21-\x7e]/i;

/** What a segment must not hold once it is decoded. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const FORBIDDEN = /[\x00-\x1f\x7f/\\]/;

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** What follows the host of an absolute target. */
function withoutOrigin(target: string): string | undefined {
  const origin = /^https?:\/\/[^/?#\\]+/i.exec(target)?.[0];
  if (origin === undefined) return undefined;
  const rest = target.slice(origin.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
