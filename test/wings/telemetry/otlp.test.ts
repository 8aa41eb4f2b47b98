import { context, metrics, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { firstValueFrom } from 'rxjs';
import { expect, it } from 'vitest';
import { DiscoveryOpenTelemetryModule } from '../../../lib/integrations/opentelemetry/index.js';
import { CALL_DURATION, READ_METRICS } from '../../../lib/observability/index.js';
import { afterwards, serving, shop } from './support.js';

interface Payload {
  readonly resourceMetrics?: readonly {
    readonly scopeMetrics: readonly {
      readonly metrics: readonly { readonly name: string; readonly unit?: string }[];
    }[];
  }[];
  readonly resourceSpans?: readonly {
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly name: string;
        readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
      }[];
    }[];
  }[];
}

/** Takes what OTLP's exporters send over HTTP, as a collector does. */
async function collecting(): Promise<{ url: string; received: Map<string, Payload[]> }> {
  const received = new Map<string, Payload[]>();
  const port = await serving((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = request.url ?? '';
      received.set(path, [...(received.get(path) ?? []), JSON.parse(Buffer.concat(chunks).toString()) as Payload]);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  return { url: `http://127.0.0.1:${port}`, received };
}

it('what is recorded arrives at a collector by OTLP', async () => {
  const { url, received } = await collecting();
  const reader = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ url: `${url}/v1/metrics` }),
    exportIntervalMillis: 3_600_000,
  });
  const meters = new MeterProvider({ readers: [reader] });
  const tracers = new BasicTracerProvider({
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }))],
  });
  metrics.setGlobalMeterProvider(meters);
  trace.setGlobalTracerProvider(tracers);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  afterwards(async () => {
    for (const api of [metrics, trace, context, propagation]) api.disable();
    await Promise.all([meters.shutdown(), tracers.shutdown()]);
  });

  const { stock } = await shop(DiscoveryOpenTelemetryModule.forRoot());
  await firstValueFrom(stock.get('/'));
  await Promise.all([meters.forceFlush(), tracers.forceFlush()]);

  const spans = received
    .get('/v1/traces')
    ?.flatMap(({ resourceSpans = [] }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
    );
  expect(spans?.map(({ name }) => name)).toEqual(['GET STOCK']);
  expect(spans?.[0]?.attributes).toContainEqual({ key: 'service.peer.name', value: { stringValue: 'STOCK' } });
  const names = received
    .get('/v1/metrics')
    ?.flatMap(({ resourceMetrics = [] }) =>
      resourceMetrics.flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap((scope) => scope.metrics.map(({ name }) => name)),
      ),
    );
  // Of what never happened nothing is told.
  const silent = /config\.|records\.|registrations|registration\.age|gateway\./;
  const expected = [CALL_DURATION, ...READ_METRICS].map(({ name }) => name).filter((name) => !silent.test(name));
  expect(names).toEqual(expect.arrayContaining(expected));
});
