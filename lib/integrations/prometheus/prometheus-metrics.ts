import type { DiscoveryTelemetry } from '../../nest/index.js';
import {
  CALL_DURATION,
  DURATION_BUCKETS,
  DURATION_METRICS,
  ERROR_LABEL,
  GATEWAY_DURATION,
  prometheusMetricName,
  prometheusName,
  READ_METRICS,
  SERVICE_LABEL,
  type CallLabels,
  type Metric,
  type RouteLabels,
  type Sample,
} from '../../observability/index.js';

/** The package, as it was loaded. */
export type PromClient = typeof import('prom-client');

type Registry = import('prom-client').Registry;

/** What is filled when it is read. */
type Filled = import('prom-client').Counter | import('prom-client').Gauge;

/**
 * Records the metrics of discovery in a registry from now on: of a call its duration, all else when the registry is read.
 *
 * @returns ends it, and takes the metrics out of the registry
 */
export function recordMetrics(
  { Counter, Gauge, Histogram }: PromClient,
  registry: Registry,
  telemetry: DiscoveryTelemetry,
  maxServices: number,
): () => void {
  const durations = new Histogram({
    ...headOf(CALL_DURATION),
    buckets: [...DURATION_BUCKETS],
    registers: [registry],
    collect: () => reading.begin(),
  });
  const routed = new Histogram({ ...headOf(GATEWAY_DURATION), buckets: [...DURATION_BUCKETS], registers: [registry] });
  const children = new WeakMap<CallLabels | RouteLabels, { observe(seconds: number): void }>();
  const { read, stop } = telemetry.meter({
    maxServices,
    onEnd: (labels, seconds) => {
      let own = children.get(labels);
      if (own === undefined) children.set(labels, (own = durations.labels(asLabels(labels))));
      own.observe(seconds);
    },
    onRouted: (labels, seconds) => {
      let own = children.get(labels);
      if (own === undefined) {
        const { route, service, status } = labels;
        const values = { route, [prometheusName(SERVICE_LABEL)]: service, status };
        children.set(labels, (own = routed.labels(values)));
      }
      own.observe(seconds);
    },
  });
  const reading = new Reading(read);
  for (const metric of READ_METRICS) {
    // Told anew at each reading, so that what is gone is gone.
    const config = { ...headOf(metric), registers: [] };
    const collect = (): void => fill(own, reading.of(metric));
    const own: Filled =
      metric.kind === 'counter' ? new Counter({ ...config, collect }) : new Gauge({ ...config, collect });
    registry.registerMetric<string>(own);
  }
  return () => {
    stop();
    for (const metric of [...DURATION_METRICS, ...READ_METRICS])
      registry.removeSingleMetric(prometheusMetricName(metric));
  };
}

/** Everything is read once for all the metrics of one scrape, which prom-client collects in one go. */
class Reading {
  private samples: Map<Metric, Sample[]> | undefined;

  constructor(private readonly read: () => readonly Sample[]) {}

  /** Reads, unless that was done in the same go. */
  begin(): void {
    if (this.samples !== undefined) return;
    this.samples = new Map(READ_METRICS.map((one) => [one, []]));
    for (const sample of this.read()) this.samples.get(sample.metric)?.push(sample);
    queueMicrotask(() => (this.samples = undefined));
  }

  of(metric: Metric): readonly Sample[] {
    this.begin();
    return this.samples?.get(metric) ?? [];
  }
}

function fill(metric: Filled, samples: readonly Sample[]): void {
  metric.reset();
  for (const { labels, value } of samples) metric.inc(prometheusLabels(labels), value);
}

function headOf(metric: Metric): { name: string; help: string; labelNames: string[] } {
  return {
    name: prometheusMetricName(metric),
    help: metric.description,
    labelNames: metric.labels.map(prometheusName),
  };
}

function asLabels({ service, outcome, errorType = '' }: CallLabels): Record<string, string> {
  return { [prometheusName(SERVICE_LABEL)]: service, outcome, [prometheusName(ERROR_LABEL)]: errorType };
}

function prometheusLabels(labels: Sample['labels']): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [prometheusName(name), value]));
}
