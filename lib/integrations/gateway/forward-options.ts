import { flag, integerBetween, milliseconds, oneOf, either, text, type Check } from '../../backend/index.js';
import { MESSAGE_HEADERS } from '../../http/index.js';
import { describe, DiscoveryError } from '../../model/index.js';
import type { HeaderChanges } from './header-list.js';

/** How one request is passed on. */
export interface ForwardOptions {
  /** Path and query to ask for at the service. @default the request's own */
  readonly path?: string;
  /**
   * Taken off the beginning of the request's path, and told to the service as `X-Forwarded-Prefix`; a path that doesn't begin
   * so is left as it is. @default nothing
   */
  readonly prefix?: string;
  /** Headers of the request that are set (a text, or a list for several) or removed (null, an empty list). @default {} */
  readonly headers?: HeaderChanges;
  /** Headers of the answer that are set or removed, as `headers`. @default {} */
  readonly responseHeaders?: HeaderChanges;
  /**
   * How long the service may take until its answer begins, with no piece of the request taken meanwhile, in milliseconds; 0:
   * for ever. What follows the head may take any time. @default the service's `timeoutMs`, 10000
   */
  readonly timeoutMs?: number;
  /** Bytes that a request may have; more are answered with 413. @default no limit */
  readonly maxRequestBytes?: number;
  /** The `Host` that the service is asked by: its instance's, as it came, or this text. @default 'service' */
  readonly host?: 'service' | 'keep' | (string & {});
  /** Only instances with this value in the metadata `routing.hintMetadata`, if there are any. @default the service's `hintHeader` */
  readonly hint?: string;
  /** What calls that belong together have in common, for `consistent-hash` and `sticky`. @default the service's `keyHeader` */
  readonly key?: string;
  /** Whether the answer tells in `Server-Timing` what the service took. @default false */
  readonly serverTiming?: boolean;
  /**
   * What becomes of a request that nobody answers: `answer` gives 502, 503 or 504 as problem+json; `throw` leaves that to the
   * app's exception filters, with the error of the last try. @default 'answer'
   */
  readonly onFailure?: 'answer' | 'throw';
}

/** A text, a list of texts, or null. */
export const headerChange: Check = either(
  'a text, a list of texts, or null',
  (value, path) => {
    if (value !== null) text(value, path);
  },
  (value, path) => {
    if (!Array.isArray(value)) text(undefined, path);
    else for (const one of value) text(one, path);
  },
);

/** The name of a header, as HTTP has it. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** What a header's value may hold: no line ends, no other control characters. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers that are the connection's, or the message's own. */
const NOT_SETTABLE: ReadonlySet<string> = new Set(MESSAGE_HEADERS);

/** Changes of headers: names and values that can stand in a message. */
export const headerChanges: Check = (value, path) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) text(undefined, path);
  for (const [name, change] of Object.entries(value as object)) {
    const at = `${path}.${name}`;
    if (!HEADER_NAME.test(name) || NOT_SETTABLE.has(name.toLowerCase())) {
      throw invalid(at, `is no header that can be set`);
    }
    if (change === undefined) continue;
    headerChange(change, at);
    for (const one of [change].flat()) {
      if (typeof one === 'string' && !HEADER_VALUE.test(one)) throw invalid(at, 'holds what no header may hold');
    }
  }
};

function invalid(field: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `the gateway: ${describe(field)} ${problem}`, { field });
}

/** Checks of what a request, a route and the module have in common. */
export const COMMON_CHECKS = {
  headers: headerChanges,
  responseHeaders: headerChanges,
  timeoutMs: milliseconds(),
  maxRequestBytes: integerBetween(0, Number.MAX_SAFE_INTEGER),
  host: text,
  serverTiming: flag,
} satisfies Record<string, Check>;

/** Checks of the options of one request. */
export const FORWARD_CHECKS: Readonly<Record<keyof ForwardOptions, Check>> = {
  ...COMMON_CHECKS,
  path: text,
  prefix: text,
  hint: text,
  key: text,
  onFailure: oneOf('answer', 'throw'),
};
