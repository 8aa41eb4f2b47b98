import { checked, flag, integerBetween, oneOf } from '../../backend/machinery/index.js';

/**
 * Whether each try of a call has a span of its own, below the call's:
 * - `auto`: unless an instrumentation of undici is on, whose spans these then are;
 * - `always`;
 * - `never`: another instrumentation makes them (`instrumentation-http`, with the transport `axios`).
 */
export type AttemptSpans = 'auto' | 'always' | 'never';

/** Options of {@link DiscoveryOpenTelemetryModule.forRoot}. */
export interface DiscoveryOpenTelemetryOptions {
  /** Whether metrics are recorded. @default true, which costs nothing when the app has no SDK for them */
  readonly metrics?: boolean;
  /** Whether calls have spans, and take the trace along. @default true, which costs nothing when the app has no SDK for them */
  readonly spans?: boolean;
  /** @default 'auto' */
  readonly attemptSpans?: AttemptSpans;
  /** Services that metrics tell apart; all others are `other`. @default 1000 */
  readonly maxServices?: number;
}

const CHECKS = {
  metrics: flag,
  spans: flag,
  attemptSpans: oneOf('auto', 'always', 'never'),
  maxServices: integerBetween(1, 100_000),
};

const DEFAULTS = { metrics: true, spans: true, attemptSpans: 'auto', maxServices: 1000 } as const;

/**
 * The options with their defaults.
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function resolveOpenTelemetryOptions(
  options: DiscoveryOpenTelemetryOptions,
): Required<DiscoveryOpenTelemetryOptions> {
  return checked('DiscoveryOpenTelemetryModule', options, CHECKS, DEFAULTS);
}
