import type { BatchObservableResult, Histogram, Meter, Observable } from '@opentelemetry/api';
import type { DiscoveryTelemetry } from '../../nest/index.js';
import {
  CALL_DURATION,
  DURATION_BUCKETS,
  ERROR_LABEL,
  GATEWAY_DURATION,
  READ_METRICS,
  SERVICE_LABEL,
  type CallLabels,
  type Metric,
  type RouteLabels,
} from '../../observability/index.js';
import type { OpenTelemetryApi } from './call-spans.js';

/**
 * Records the metrics of discovery from now on: of a call its duration, all else when the SDK reads it. Nothing when the
 * app has nobody who takes metrics.
 *
 * @returns ends it
 */
export function recordMetrics(api: OpenTelemetryApi, telemetry: DiscoveryTelemetry, maxServices: number): () => void {
  const meter = api.metrics.getMeter('nestjs-service-discovery');
  if (meter === api.createNoopMeter()) return () => {};
  const durations = histogramOf(meter, CALL_DURATION);
  const routed = histogramOf(meter, GATEWAY_DURATION);
  const attributes = new WeakMap<CallLabels | RouteLabels, Record<string, string>>();
  const { read, stop } = telemetry.meter({
    maxServices,
    onEnd: (labels, seconds) => {
      let own = attributes.get(labels);
      if (own === undefined) attributes.set(labels, (own = attributesOf(labels)));
      durations.record(seconds, own);
    },
    onRouted: (labels, seconds) => {
      let own = attributes.get(labels);
      if (own === undefined) {
        const { route, service, status } = labels;
        attributes.set(labels, (own = { route, [SERVICE_LABEL]: service, status }));
      }
      routed.record(seconds, own);
    },
  });
  const instruments = new Map(READ_METRICS.map((metric) => [metric, instrumentOf(meter, metric)]));
  const observe = (result: BatchObservableResult): void => {
    for (const { metric, value, labels } of read()) {
      const instrument = instruments.get(metric);
      if (instrument !== undefined) result.observe(instrument, value, labels);
    }
  };
  meter.addBatchObservableCallback(observe, [...instruments.values()]);
  return () => {
    stop();
    meter.removeBatchObservableCallback(observe, [...instruments.values()]);
  };
}

function histogramOf(meter: Meter, { name, unit, description }: Metric): Histogram {
  const advice = { explicitBucketBoundaries: [...DURATION_BUCKETS] };
  return meter.createHistogram(name, { unit, description, advice });
}

function attributesOf({ service, outcome, errorType }: CallLabels): Record<string, string> {
  return { [SERVICE_LABEL]: service, outcome, ...(errorType === undefined ? {} : { [ERROR_LABEL]: errorType }) };
}

function instrumentOf(meter: Meter, { name, kind, unit, description }: Metric): Observable {
  const options = { unit, description };
  if (kind === 'counter') return meter.createObservableCounter(name, options);
  return kind === 'updown'
    ? meter.createObservableUpDownCounter(name, options)
    : meter.createObservableGauge(name, options);
}
