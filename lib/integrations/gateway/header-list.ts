/** Headers that concern one connection only (RFC 9110, 7.6.1), and those that old clients mean so. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const NOTHING: ReadonlySet<string> = new Set();

/** Whether a header concerns one connection only; `name` in lower case. */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name);
}

/** The headers that a `Connection` header names besides; the usual two values name none. */
export function namedBy(connection: string | undefined): ReadonlySet<string> {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return NOTHING;
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
}

/** Headers as they stand in a message: names and values in turn. */
export type HeaderList = string[];

/** What is to become of a message's headers: a text or a list is set in the place of what there is, null removes it. */
export type HeaderChanges = Readonly<Record<string, string | readonly string[] | null | undefined>>;

/** Changes a list of headers. */
export function changeHeaders(headers: HeaderList, changes: HeaderChanges | undefined): HeaderList {
  if (changes === undefined) return headers;
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  if (given.length === 0) return headers;
  const names = new Set(given.map(([name]) => name.toLowerCase()));
  const changed: HeaderList = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!names.has(name.toLowerCase())) changed.push(name, headers[i + 1] ?? '');
  }
  for (const [name, value] of given) {
    if (value === null || value === undefined) continue;
    for (const one of typeof value === 'string' ? [value] : value) changed.push(name, one);
  }
  return changed;
}
