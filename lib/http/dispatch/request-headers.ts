/** Headers as undici takes them: names and values in turn, pairs, or an object. */
export type RequestHeaders = object | null | undefined;

/** A header of an answer, by its name in lower case. */
export function headerOf(raw: readonly Buffer[], name: string): string | undefined {
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const field = raw[at];
    if (field?.length === name.length && field.toString('latin1').toLowerCase() === name)
      return raw[at + 1]?.toString('latin1');
  }
  return undefined;
}

/** Whether an answer goes on for as long as there is something to tell. */
export function isEventStream(headers: readonly Buffer[]): boolean {
  return headerOf(headers, 'content-type')?.startsWith('text/event-stream') === true;
}

/** A header of a request, whatever form its headers have. */
export function requestHeader(headers: RequestHeaders, name: string): string | undefined {
  const wanted = name.toLowerCase();
  for (const [field, value] of pairsOf(headers)) {
    if (field.toLowerCase() === wanted) return typeof value === 'string' ? value : undefined;
  }
  return undefined;
}

/** The headers of a request, and more that it hasn't itself: names and values in turn. */
export function withMore(headers: RequestHeaders, more: Readonly<Record<string, string>>): object {
  const all: unknown[] = [];
  const own = new Set<string>();
  for (const [name, value] of pairsOf(headers)) {
    all.push(name, value);
    own.add(name.toLowerCase());
  }
  for (const [name, value] of Object.entries(more)) if (!own.has(name.toLowerCase())) all.push(name, value);
  return all;
}

/** The headers that only say how to read, as pairs in turn: what another origin may see. */
export function only(headers: RequestHeaders, isHarmless: (name: string) => boolean): object {
  return pairsOf(headers).flatMap(([name, value]) => (isHarmless(name.toLowerCase()) ? [name, value] : []));
}

function pairsOf(headers: RequestHeaders): (readonly [name: string, value: unknown])[] {
  if (headers === undefined || headers === null) return [];
  if (Array.isArray(headers)) {
    const pairs: [string, unknown][] = [];
    for (let at = 0; at + 1 < headers.length; at += 2) pairs.push([String(headers[at]), headers[at + 1]]);
    return pairs;
  }
  if (Symbol.iterator in headers) return [...(headers as Iterable<readonly [string, unknown]>)];
  return Object.entries(headers);
}
