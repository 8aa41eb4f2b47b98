import type { Check } from '../../backend/index.js';
import type { CallOptions } from '../../http/index.js';
import { CALL_OPTIONS } from '../../nest/check-module-options.js';

/** What of the options of calls means something to protocols besides HTTP. */
const NAMES = [
  'balancing',
  'routing',
  'ejection',
  'maxAttempts',
  'timeoutMs',
  'totalTimeoutMs',
  'retry',
  'forwardHeaders',
  'hintHeader',
  'keyHeader',
  'bulkhead',
  'policy',
] as const;

/** How calls by another protocol than HTTP are made: as those by HTTP, where that has a meaning. */
export type PointCallOptions = Pick<CallOptions, (typeof NAMES)[number]>;

/** The checks of {@link PointCallOptions}. */
export const POINT_CHECKS = Object.fromEntries(NAMES.map((name) => [name, CALL_OPTIONS[name]])) as Readonly<
  Record<(typeof NAMES)[number], Check>
>;

/** The options of calls among others. */
export function callOptionsOf(options: PointCallOptions): CallOptions {
  return Object.fromEntries(NAMES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}
