import { describe, DiscoveryError } from '../../model/index.js';
import type { Route } from './route-metadata.js';

/** What the arguments of a call become. */
export interface RequestParts {
  readonly param: Readonly<Record<string, unknown>>;
  /** Texts, and lists of texts, which are sent as repeated keys. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** A text as a body: Nest would take it for a form, and its JSON parser takes objects and lists only. */
const TEXT = 'text/plain; charset=utf-8';

/**
 * Sorts the arguments of a call into the parts of a request. What `undefined` or `null` is left out; what the parameter on the
 * other side couldn't receive is refused, rather than to arrive as something else.
 *
 * @param where `ORDERS.list`, for errors
 * @throws DiscoveryError `INVALID_OPTION`, whose `field` is the parameter's name
 */
export function requestParts(
  where: string,
  route: Route,
  args: readonly unknown[],
  common: Readonly<Record<string, string>>,
): RequestParts {
  const param: Record<string, unknown> = {};
  const query: Record<string, string | readonly string[]> = {};
  const headers: Record<string, string> = { ...common };
  const fields: Record<string, unknown> = {};
  let whole: unknown;
  for (const { kind, index, name } of route.arguments) {
    const value = args[index];
    if (value === undefined) continue;
    if (kind === 'body') {
      if (name === undefined) whole = checkedBody(value, where, index);
      else fields[name] = value;
      continue;
    }
    for (const [field, one] of fieldsOf(value, name, where, kind, index)) {
      if (kind === 'param') param[field] = one;
      else if (one === undefined || one === null) continue;
      else if (kind === 'headers') headers[field] = asText(one, where, 'header', field);
      else if (Array.isArray(one)) query[field] = one.map((item) => asText(item, where, 'query parameter', field));
      else query[field] = asText(one, where, 'query parameter', field);
    }
  }
  const names = Object.keys(headers).map((header) => header.toLowerCase());
  if (typeof whole === 'string' && !names.includes('content-type')) headers['Content-Type'] = TEXT;
  const isMixed = Object.keys(fields).length > 0;
  return { param, query, headers, body: isMixed ? { ...(whole as object | undefined), ...fields } : whole };
}

/** A parameter with a name is one field; one without has the names inside. */
function fieldsOf(
  value: unknown,
  name: string | undefined,
  where: string,
  kind: string,
  index: number,
): readonly (readonly [string, unknown])[] {
  if (name !== undefined) return [[name, value]];
  if (value === null) return [];
  const isKeyed = value instanceof Date || value instanceof Map || value instanceof Set;
  if (typeof value !== 'object' || Array.isArray(value) || isKeyed || value instanceof URLSearchParams) {
    throw refused(
      where,
      `the argument ${index + 1} (${kind})`,
      kind,
      value,
      ', only an object with a field for each name',
    );
  }
  return Object.entries(value);
}

function asText(value: unknown, where: string, what: string, field: string): string {
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (value instanceof Date && !Number.isNaN(value.getTime()) && what !== 'header') return value.toISOString();
  throw refused(where, `the ${what} '${field}'`, field, value, '');
}

/** What Nest's own parsers make of a body is an object, a list or a text; bytes, forms and streams are the caller's own choice. */
function checkedBody(value: unknown, where: string, index: number): unknown {
  const isLost = value instanceof Date || value instanceof Map || value instanceof Set;
  if (typeof value === 'string' || (typeof value === 'object' && value !== null && !isLost)) return value;
  throw refused(where, `the argument ${index + 1} (body)`, 'body', value, ', only an object, a list or a text');
}

function refused(where: string, what: string, field: string, value: unknown, hint: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `${where}: ${what} can't be ${describe(value)}${hint}`, { field });
}
