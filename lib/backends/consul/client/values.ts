import { describe, DiscoveryError } from '../../../model/index.js';

/** A duration: milliseconds, or text in Consul's own (Go's) syntax: `10s`, `2m30s`, `1.5h`. There are no days. */
export type Duration = string | number;

/**
 * How current an answer must be.
 * - `default`: strong, but for a short window when the leader changes;
 * - `consistent`: the leader asks the quorum first;
 * - `stale`: any server answers, also without a leader.
 */
export type Consistency = 'default' | 'consistent' | 'stale';

/** An index, or anything that carries one: the meta of an answer, a key/value entry. */
export type ObjectIndex =
  | string
  | number
  | bigint
  | { readonly Index: string | number | bigint }
  | { readonly ModifyIndex: string | number | bigint };

/** What to wait for: a change after this index; with a duration, no longer than that. */
export type Blocking = ObjectIndex | readonly [index: ObjectIndex, wait?: Duration | null | undefined];

/** Bytes, or a text that is sent as UTF-8. */
export type Payload = string | Uint8Array;

/** A regular expression in the server's syntax, or one of JavaScript's whose flags the server knows (`i`, `m`, `s`). */
export type Filter = string | RegExp;

/** An id, or an object that carries it. */
export type ObjectId = string | { readonly ID: string };

/** A token's secret, or a token that carries it. */
export type TokenLike = string | { readonly SecretID: string };

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const GO_DURATION = /^(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)/;

/**
 * A duration in milliseconds.
 *
 * @throws DiscoveryError `INVALID_OPTION` for what Consul would refuse, such as `1d`
 */
export function durationMs(value: Duration, field = 'duration'): number {
  if (typeof value === 'number') {
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw noDuration(value, field);
    return value;
  }
  if (value === '0') return 0;
  let rest = typeof value === 'string' ? value : '';
  let total = 0;
  if (rest === '') throw noDuration(value, field);
  while (rest !== '') {
    const part = GO_DURATION.exec(rest)?.[0];
    if (part === undefined) throw noDuration(value, field);
    const unit = /[^\d.]+$/.exec(part)?.[0] ?? '';
    total += Number(part.slice(0, -unit.length)) * (UNITS[unit] ?? NaN);
    rest = rest.slice(part.length);
  }
  return total;
}

/**
 * A duration as Consul reads it.
 *
 * @throws DiscoveryError `INVALID_OPTION` for what Consul would refuse
 */
export function goDuration(value: Duration, field = 'duration'): string {
  const ms = durationMs(value, field);
  if (typeof value === 'string') return value;
  return Number.isInteger(ms) ? `${ms}ms` : `${Math.round(ms * 1e6)}ns`;
}

function noDuration(value: unknown, field: string): DiscoveryError {
  return new DiscoveryError(
    'INVALID_OPTION',
    `${field} must be milliseconds or a text such as '10s' or '2m30s' (Consul knows no days), got ${describe(value)}`,
    { field },
  );
}

/**
 * The index in a value, as text.
 *
 * @throws DiscoveryError `INVALID_OPTION` when there is none
 */
export function indexOf(value: unknown, field = 'index'): string {
  const found = typeof value === 'object' && value !== null ? indexIn(value) : value;
  const text = typeof found === 'number' || typeof found === 'bigint' ? String(found) : found;
  if (typeof text === 'string' && /^\d{1,20}$/.test(text)) return text;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `${field} must be an index or an object with Index or ModifyIndex, got ${describe(value)}`,
    { field },
  );
}

function indexIn(value: object): unknown {
  if ('Index' in value) return value.Index;
  return 'ModifyIndex' in value ? value.ModifyIndex : undefined;
}

/** Index and duration of a blocking query. */
export function blockingOf(value: Blocking): { readonly index: string; readonly waitMs: number | undefined } {
  if (!isPair(value)) return { index: indexOf(value, 'watch'), waitMs: undefined };
  const [index, wait] = value;
  return {
    index: indexOf(index, 'watch'),
    waitMs: wait === undefined || wait === null ? undefined : durationMs(wait, 'watch'),
  };
}

function isPair(value: Blocking): value is readonly [ObjectIndex, (Duration | null)?] {
  return Array.isArray(value);
}

/**
 * The id in a value: the text itself, or the first of `keys` that an object has.
 *
 * @throws DiscoveryError `INVALID_OPTION` when there is none
 */
export function idOf(value: unknown, keys: readonly string[], field: string): string {
  let id: unknown = value;
  if (typeof value === 'object' && value !== null) {
    const fields = value as Readonly<Record<string, unknown>>;
    const key = keys.find((one) => typeof fields[one] === 'string' && fields[one] !== '');
    id = key === undefined ? undefined : fields[key];
  }
  if (typeof id === 'string' && id !== '' && id !== '.' && id !== '..') return id;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `${field} must be a text or an object with ${keys.join(' or ')}, got ${describe(id ?? value)}`,
    { field },
  );
}

/** One part of a path. */
export function segment(value: unknown, keys: readonly string[], field: string): string {
  return encodeURIComponent(idOf(value, keys, field));
}

/**
 * A key as part of a path; its slashes stay.
 *
 * @throws DiscoveryError `INVALID_NAME` for what a server would refuse or take for another key
 */
export function keyPath(key: unknown, field = 'key', empty = false): string {
  const problem = keyProblem(key, empty);
  if (problem !== undefined)
    throw new DiscoveryError('INVALID_NAME', `${field} ${problem}, got ${describe(key)}`, { field });
  return String(key).split('/').map(encodeURIComponent).join('/');
}

function keyProblem(key: unknown, empty: boolean): string | undefined {
  if (typeof key !== 'string') return 'must be a text';
  if (key === '') return empty ? undefined : 'must not be empty';
  if (key.startsWith('/')) return 'must not begin with a slash';
  if (key.includes('//')) return 'must not contain two slashes in a row';
  if (/[\u0000-\u001f\u007f]/.test(key)) return 'must not contain control characters';
  if (/\p{Surrogate}/u.test(key)) return 'must be well-formed Unicode';
  if (key.split('/').some((part) => part === '.' || part === '..')) return 'must not contain . or .. between slashes';
  return undefined;
}

/** The bytes to send. */
export function bytesOf(value: Payload, field = 'value'): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  if (value instanceof Uint8Array) return value;
  throw new DiscoveryError('INVALID_OPTION', `${field} must be a text or bytes, got ${describe(value)}`, { field });
}

/**
 * A filter as the server reads it. Its syntax is Go's (RE2): without look-around and back-references.
 *
 * @throws DiscoveryError `INVALID_OPTION` for a flag that has no counterpart there
 */
export function filterText(value: Filter, field: string): string {
  if (typeof value === 'string') return value;
  const flags = value.flags.replace(/[gyud]/g, '');
  if (/[^ims]/.test(flags)) {
    throw new DiscoveryError('INVALID_OPTION', `${field}: Consul knows no counterpart of the flags '${value.flags}'`, {
      field,
    });
  }
  return flags === '' ? value.source : `(?${flags})${value.source}`;
}

/** The secret of a token. */
export function secretOf(value: TokenLike): string {
  const secret = typeof value === 'string' ? value : value.SecretID;
  if (typeof secret === 'string' && isSecret(secret)) return secret;
  // What was given may be a secret after all: it isn't shown.
  throw new DiscoveryError(
    'INVALID_OPTION',
    'token must be a text or an object with SecretID, of visible ASCII characters',
    { field: 'token' },
  );
}

/** Whether a text can be a token, which goes into a header. */
export function isSecret(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** A definition with durations as Consul reads them; fields that are undefined or null are left out. */
export function definition(value: object, durations: readonly string[] = []): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value) as [string, unknown][]) {
    if (field === undefined || field === null) continue;
    result[key] = durations.includes(key) ? goDuration(field as Duration, key) : field;
  }
  return result;
}
