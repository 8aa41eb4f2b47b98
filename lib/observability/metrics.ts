import type { DiscoveryEventType } from '../model/index.js';
import type { CallMeter } from './call-meter.js';
import type { EventTally } from './event-tally.js';
import type { RouteCircuit, ServiceTelemetry, TelemetrySnapshot } from './telemetry-snapshot.js';

/** A metric, in OpenTelemetry's words. */
export interface Metric {
  readonly name: string;
  readonly kind: 'histogram' | 'counter' | 'updown' | 'gauge';
  /** By UCUM: `s`, `{call}`. @default none */
  readonly unit: string;
  readonly description: string;
  readonly labels: readonly string[];
}

/** The label of a service, by OpenTelemetry's conventions. */
export const SERVICE_LABEL = 'service.peer.name';

/** The label of what a call failed by. */
export const ERROR_LABEL = 'error.type';

/** Boundaries of the buckets of durations, in seconds: those of OpenTelemetry's conventions for HTTP. */
export const DURATION_BUCKETS: readonly number[] = Object.freeze([
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]);

const metric = (
  kind: Metric['kind'],
  name: string,
  unit: string,
  labels: readonly string[],
  description: string,
): Metric => Object.freeze({ kind, name: `service_discovery.${name}`, unit, labels, description });

/** How long each call took, tries and waits included: the only metric that a call itself writes. */
export const CALL_DURATION = metric(
  'histogram',
  'client.call.duration',
  's',
  [SERVICE_LABEL, 'outcome', ERROR_LABEL],
  'How long calls to a service took, with all their tries.',
);

/** How long each request took that a gateway passed on: written as they end. */
export const GATEWAY_DURATION = metric(
  'histogram',
  'gateway.request.duration',
  's',
  ['route', SERVICE_LABEL, 'status'],
  'How long requests took that the gateway passed on, until their answers had ended.',
);

const CALL_ATTEMPTS = metric(
  'counter',
  'client.call.attempts',
  '{attempt}',
  [SERVICE_LABEL, 'reason'],
  'Instances that were asked: first, again after a failure (retry), or besides one that takes long (hedge).',
);
const ACTIVE_CALLS = metric('updown', 'client.active_calls', '{call}', [SERVICE_LABEL], 'Calls that are under way.');
const BUDGET_EXHAUSTED = metric(
  'counter',
  'client.retry_budget.exhausted',
  '{call}',
  [SERVICE_LABEL],
  'Failures that were not tried again because the retry budget was used up.',
);
const INSTANCES = metric(
  'gauge',
  'instances',
  '{instance}',
  [SERVICE_LABEL, 'status'],
  'Instances of a watched service: those that calls go to (routable), those left out for failures (ejected), and the others (down).',
);
const SNAPSHOT_AGE = metric(
  'gauge',
  'snapshot.age',
  's',
  [SERVICE_LABEL, 'state'],
  'How long ago the list of instances was last known to be right: 0 while it is fresh, the time that it is stale otherwise.',
);
const REGISTRATION_AGE = metric(
  'gauge',
  'registration.age',
  's',
  ['backend', 'state'],
  'How long ago the registry last confirmed the registration of this app; of several the oldest.',
);
const REGISTRATIONS = metric(
  'counter',
  'registrations',
  '{event}',
  ['backend', 'event'],
  'What became of registrations: registered (again, too), removed, left to expire, failed.',
);
const BACKEND_READY = metric('gauge', 'backend.ready', '', ['backend'], 'Whether a backend answers: 1 or 0.');
const CONFIG_CHANGES = metric(
  'counter',
  'config.changes',
  '{change}',
  ['backend'],
  'Configurations that came into force, by the backend whose documents had changed.',
);
const CONFIG_REJECTIONS = metric(
  'counter',
  'config.rejections',
  '{rejection}',
  ['backend'],
  'Configurations that were refused or could not be read.',
);
const RECORDS_SKIPPED = metric(
  'counter',
  'records.skipped',
  '{record}',
  ['backend'],
  'Records of a registry that could not be an instance.',
);

const GATEWAY_CIRCUIT = metric(
  'gauge',
  'gateway.circuit',
  '',
  ['route', SERVICE_LABEL, 'state'],
  'Whether calls of a route reach its service: closed, half-open (instances are left out) or open (none is left): 1 for the state that it is in.',
);

/** The metrics that are written as something ends. */
export const DURATION_METRICS: readonly Metric[] = Object.freeze([CALL_DURATION, GATEWAY_DURATION]);

/** The metrics that are read when somebody asks, and cost nothing otherwise. */
export const READ_METRICS: readonly Metric[] = Object.freeze([
  CALL_ATTEMPTS,
  ACTIVE_CALLS,
  BUDGET_EXHAUSTED,
  INSTANCES,
  SNAPSHOT_AGE,
  REGISTRATION_AGE,
  REGISTRATIONS,
  BACKEND_READY,
  CONFIG_CHANGES,
  CONFIG_REJECTIONS,
  RECORDS_SKIPPED,
  GATEWAY_CIRCUIT,
]);

/** One value of a metric. */
export interface Sample {
  readonly metric: Metric;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What the metrics are read from. */
export interface MetricSources {
  readonly snapshot: TelemetrySnapshot;
  readonly tally: EventTally;
  readonly meter: CallMeter;
}

/** Reads every one of {@link READ_METRICS}. Services beyond the meter's limit are added up as `other`. */
export function readMetrics({ snapshot, tally, meter }: MetricSources): readonly Sample[] {
  return [
    ...callSamples(meter),
    ...serviceSamples(snapshot, meter),
    ...backendSamples(snapshot),
    ...registrationSamples(snapshot),
    ...eventSamples(tally),
    ...routeSamples(snapshot, meter),
  ];
}

const EVENTS: readonly (readonly [metric: Metric, type: DiscoveryEventType, more: Readonly<Record<string, string>>])[] =
  [
    [REGISTRATIONS, 'registration.registered', { event: 'registered' }],
    [REGISTRATIONS, 'registration.removed', { event: 'removed' }],
    [REGISTRATIONS, 'registration.left', { event: 'left' }],
    [REGISTRATIONS, 'registration.failed', { event: 'failed' }],
    [CONFIG_CHANGES, 'config.changed', {}],
    [CONFIG_REJECTIONS, 'config.rejected', {}],
    [RECORDS_SKIPPED, 'record.skipped', {}],
  ];

function eventSamples(tally: EventTally): Sample[] {
  return EVENTS.flatMap(([of, type, more]) =>
    [...tally.countsOf(type)].map(([backend, value]) => ({ metric: of, labels: { backend, ...more }, value })),
  );
}

function callSamples(meter: CallMeter): Sample[] {
  return meter.counts.flatMap(({ service, active, attempts, retriesRefused }) => {
    const labels = { [SERVICE_LABEL]: service };
    return [
      { metric: ACTIVE_CALLS, labels, value: active },
      { metric: BUDGET_EXHAUSTED, labels, value: retriesRefused },
      ...Object.entries(attempts).map(([reason, value]) => ({
        metric: CALL_ATTEMPTS,
        labels: { ...labels, reason },
        value,
      })),
    ];
  });
}

function serviceSamples({ services, at }: TelemetrySnapshot, meter: CallMeter): Sample[] {
  const instances = new Map<string, { routable: number; ejected: number; down: number }>();
  const ages = new Map<string, Map<string, number>>();
  for (const one of services) {
    // Whoever has instances proves that the name is one; of the others the room is bounded.
    const label = meter.labelOf(one.service, one.routable + one.ejected + one.down > 0);
    const sum = instances.get(label) ?? { routable: 0, ejected: 0, down: 0 };
    instances.set(label, {
      routable: sum.routable + one.routable,
      ejected: sum.ejected + one.ejected,
      down: sum.down + one.down,
    });
    const age = ageOf(one, at);
    if (age === undefined) continue;
    const byState = ages.get(label) ?? new Map<string, number>();
    ages.set(label, byState.set(one.state, Math.max(age, byState.get(one.state) ?? 0)));
  }
  return [
    ...[...instances].flatMap(([service, counts]) =>
      Object.entries(counts).map(([status, value]) => ({
        metric: INSTANCES,
        labels: { [SERVICE_LABEL]: service, status },
        value,
      })),
    ),
    ...[...ages].flatMap(([service, byState]) =>
      [...byState].map(([state, value]) => ({
        metric: SNAPSHOT_AGE,
        labels: { [SERVICE_LABEL]: service, state },
        value,
      })),
    ),
  ];
}

/** Of routes beyond the meter's limit nothing is told: a sum of circuits would say nothing. */
function routeSamples({ routes }: TelemetrySnapshot, meter: CallMeter): Sample[] {
  return routes.flatMap(({ route, service, circuit }) => {
    if (circuit === 'unknown' || !meter.hasRoute(route)) return [];
    return CIRCUITS.map((state) => ({
      metric: GATEWAY_CIRCUIT,
      labels: { route, [SERVICE_LABEL]: service, state },
      value: Number(state === circuit),
    }));
  });
}

const CIRCUITS: readonly RouteCircuit[] = ['closed', 'half-open', 'open'];

/** In seconds; undefined for a list that never was known. */
function ageOf({ state, since }: ServiceTelemetry, at: number): number | undefined {
  if (state === 'unknown') return undefined;
  return state === 'fresh' ? 0 : Math.max(0, at - since) / 1000;
}

function backendSamples({ backends }: TelemetrySnapshot): Sample[] {
  return backends.map(({ name, phase }) => ({
    metric: BACKEND_READY,
    labels: { backend: name },
    value: phase === 'ready' ? 1 : 0,
  }));
}

function registrationSamples({ registrations, at }: TelemetrySnapshot): Sample[] {
  const oldest = new Map<string, Sample>();
  for (const { backend, phase, confirmedAt } of registrations) {
    if (confirmedAt === undefined) continue;
    const value = Math.max(0, at - confirmedAt) / 1000;
    const key = `${phase} ${backend}`;
    if ((oldest.get(key)?.value ?? -1) < value)
      oldest.set(key, { metric: REGISTRATION_AGE, labels: { backend, state: phase }, value });
  }
  return [...oldest.values()];
}

/** A label's or metric's name as Prometheus has it. */
export function prometheusName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_]/g, '_');
}

/** A metric's name as Prometheus has it: with its unit, and `_total` for counters. */
export function prometheusMetricName({ name, unit, kind }: Metric): string {
  const suffix = unit === 's' ? '_seconds' : '';
  return `${prometheusName(name)}${suffix}${kind === 'counter' ? '_total' : ''}`;
}
