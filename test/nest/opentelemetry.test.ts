import { createServer, type IncomingHttpHeaders } from 'node:http';
import { Injectable, Module, type INestApplication } from '@nestjs/common';
import { context, metrics, propagation, SpanKind, trace, type Attributes } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import {
  InMemoryMetricExporter,
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import { firstValueFrom } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import {
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  DiscoveryTelemetry,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import {
  DiscoveryOpenTelemetryModule,
  discoverySpanAttributes,
  type DiscoveryOpenTelemetryOptions,
} from '../../lib/integrations/opentelemetry/index.js';
import { READ_METRICS, CALL_DURATION } from '../../lib/observability/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { init, listen, registered } from './support.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** The SDK's traces, in memory. */
function tracing(): InMemorySpanExporter {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  ends.push(() => {
    trace.disable();
    context.disable();
    propagation.disable();
  });
  return exporter;
}

/** The SDK's metrics, in memory: what one collection gives, by name. */
function metering(): () => Promise<Map<string, { readonly value: unknown; readonly attributes: Attributes }[]>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  metrics.setGlobalMeterProvider(provider);
  ends.push(
    () => provider.shutdown(),
    () => metrics.disable(),
  );
  return async () => {
    exporter.reset();
    await reader.forceFlush();
    const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    return new Map(all.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints.slice()]));
  };
}

interface Shop {
  readonly app: INestApplication;
  readonly stock: ServiceHttpClient;
  readonly registry: InMemoryRegistry;
}

async function shop(
  ports: readonly number[],
  options: Partial<DiscoveryModuleOptions> = {},
  own: DiscoveryOpenTelemetryOptions = {},
): Promise<Shop> {
  const registry = new InMemoryRegistry();
  for (const port of ports) registry.addInstance('STOCK', { port, id: `s-${port}` });
  const backend = registry.backend();
  @Injectable()
  class Caller {
    constructor(@DiscoverableClient('STOCK') readonly stock: ServiceHttpClient) {}
  }
  @Module({
    providers: [Caller],
    imports: [
      DiscoveryOpenTelemetryModule.forRoot(own),
      DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry: backend, config: backend, ...options }),
    ],
  })
  class AppModule {}
  const app = await listen(AppModule);
  await registered(app);
  return { app, stock: app.get(Caller).stock, registry };
}

/** A server that keeps the headers that it got. */
async function hearing(): Promise<{ port: number; heard: IncomingHttpHeaders[] }> {
  const heard: IncomingHttpHeaders[] = [];
  const port = await serving((request, response) => {
    heard.push(request.headers);
    response.end('{}');
  });
  return { port, heard };
}

/** A port that nobody listens on. */
async function refusing(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const get = (stock: ServiceHttpClient, path = '/quote') => firstValueFrom(stock.get(path));

/** Whether anybody observes calls. */
function observing(app: INestApplication): boolean {
  const { runtime } = app.get<{ runtime: { calls: { begin: unknown } } }>(DiscoveryTelemetry);
  return runtime.calls.begin !== undefined;
}

const idOf = (span: ReadableSpan): string => span.spanContext().spanId;
const spanIdOf = (header: unknown): string => String(header).split('-')[2] ?? '';

describe.each(['undici', 'axios'] as const)('spans of calls through %s', (transport) => {
  test('one for the call, when it is tried again one below it for each try, and the trace goes out with each', async () => {
    const exporter = tracing();
    const dead = await refusing();
    const { port, heard } = await hearing();
    const { stock } = await shop([dead, port], {
      transport,
      http: { balancing: (all, { tried }) => all.find((one) => (one.port === dead) === (tried === undefined)) },
    });
    const parent = trace.getTracer('test').startSpan('request');
    await context.with(trace.setSpan(context.active(), parent), () => get(stock));
    const [first, retry, call] = exporter.getFinishedSpans();
    if (first === undefined || retry === undefined || call === undefined) throw new Error('three spans');
    expect(exporter.getFinishedSpans()).toHaveLength(3);
    expect(call.parentSpanContext?.spanId).toBe(parent.spanContext().spanId);
    expect([call.name, call.kind]).toEqual(['GET STOCK', SpanKind.CLIENT]);
    expect(call.attributes).toEqual({
      'service.peer.name': 'STOCK',
      'service_discovery.protocol': 'http',
      'service_discovery.attempts': 2,
      'http.request.method': 'GET',
      'http.response.status_code': 200,
    });
    for (const attempt of [first, retry]) {
      expect(attempt.parentSpanContext?.spanId).toBe(idOf(call));
      expect([attempt.name, attempt.kind]).toEqual(['GET', SpanKind.CLIENT]);
      expect(attempt.attributes).toMatchObject({ 'service.peer.name': 'STOCK', 'server.address': '127.0.0.1' });
    }
    expect(first.attributes).toMatchObject({
      'service_discovery.attempt.reason': 'first',
      'server.port': dead,
      'error.type': 'ECONNREFUSED',
    });
    expect(first.attributes).not.toHaveProperty('http.request.resend_count');
    expect(first.status.code).toBe(2);
    expect(retry.attributes).toMatchObject({
      'service_discovery.attempt.reason': 'retry',
      'http.request.resend_count': 1,
      'server.port': port,
      'service_discovery.instance.id': `s-${port}`,
    });
    expect(heard.map((headers) => spanIdOf(headers['traceparent']))).toEqual([idOf(retry)]);
  });

  test('a call that is answered at once is one span, which says who answered and goes out itself', async () => {
    const exporter = tracing();
    const { port, heard } = await hearing();
    const { stock } = await shop([port], { transport });
    await get(stock);
    const [call, ...others] = exporter.getFinishedSpans();
    expect(others).toEqual([]);
    expect(call?.attributes).toEqual({
      'service.peer.name': 'STOCK',
      'service_discovery.protocol': 'http',
      'service_discovery.instance.id': `s-${port}`,
      'server.address': '127.0.0.1',
      'server.port': port,
      'http.request.method': 'GET',
      'http.response.status_code': 200,
    });
    expect(spanIdOf(heard[0]?.['traceparent'])).toBe(call?.spanContext().spanId);
  });

  test('of a hedged call, each try has one, and the one that was overtaken is no failure', async () => {
    const exporter = tracing();
    const slow = await serving(() => {});
    const { port, heard } = await hearing();
    const { stock } = await shop([slow, port], {
      transport,
      http: {
        hedging: { delayMs: 10 },
        balancing: (all, { tried }) => all.find((one) => (one.port === slow) === (tried === undefined)),
      },
    });
    await get(stock);
    await expect.poll(() => exporter.getFinishedSpans().length).toBe(3);
    const byReason = new Map(
      exporter.getFinishedSpans().map((span) => [span.attributes['service_discovery.attempt.reason'], span]),
    );
    const [call, first, hedge] = [byReason.get(undefined), byReason.get('first'), byReason.get('hedge')];
    expect(call?.attributes).toMatchObject({ 'service_discovery.attempts': 2, 'service_discovery.hedges': 1 });
    expect(first).toMatchObject({ attributes: { 'error.type': 'OVERTAKEN' }, status: { code: 0 } });
    expect(hedge?.attributes).toMatchObject({ 'http.request.resend_count': 1, 'server.port': port });
    for (const one of [first, hedge]) expect(one?.parentSpanContext?.spanId).toBe(call?.spanContext().spanId);
    expect(spanIdOf(heard[0]?.['traceparent'])).toBe(hedge?.spanContext().spanId);
  });

  test('without spans for tries the call’s own identity goes out with each', async () => {
    const exporter = tracing();
    const { port, heard } = await hearing();
    const { stock } = await shop([port], { transport }, { attemptSpans: 'never' });
    await get(stock);
    expect(exporter.getFinishedSpans()).toHaveLength(1);
    expect(spanIdOf(heard[0]?.['traceparent'])).toBe(idOf(exporter.getFinishedSpans()[0] as ReadableSpan));
  });

  test('a call that nobody can take, and one that its caller gave up', async () => {
    const exporter = tracing();
    const port = await serving(() => {});
    const { stock, app } = await shop([port], { transport });
    const given = stock.get('/').subscribe({ error: () => {} });
    await expect.poll(() => app.get(DiscoveryTelemetry).snapshot().services).toHaveLength(1);
    given.unsubscribe();
    await expect.poll(() => exporter.getFinishedSpans().length).toBeGreaterThan(0);
    await expect
      .poll(() => exporter.getFinishedSpans().at(-1))
      .toMatchObject({
        attributes: { 'error.type': 'ERR_CANCELED' },
        status: { code: 0 },
      });
    const nobody = app.get(ServiceHttpClient, { strict: false }).axiosRef.get('lb://NOBODY/');
    await expect(nobody).rejects.toThrow();
    expect(exporter.getFinishedSpans().at(-1)).toMatchObject({
      name: 'GET NOBODY',
      attributes: { 'error.type': 'NO_INSTANCE' },
      status: { code: 2 },
    });
  });
});

test('where undici is instrumented, its spans are those of the tries, and say which service and the how manieth', async () => {
  const exporter = tracing();
  const instrumentation = new UndiciInstrumentation({ startSpanHook: discoverySpanAttributes });
  instrumentation.enable();
  ends.push(() => instrumentation.disable());
  const dead = await refusing();
  const { port, heard } = await hearing();
  const { stock } = await shop([dead, port], {
    http: { balancing: (all, { tried }) => all.find((one) => (one.port === dead) === (tried === undefined)) },
  });
  await get(stock);
  const spans = exporter.getFinishedSpans();
  const call = spans.find(({ kind }) => SpanKind[kind] === 'INTERNAL');
  const tries = spans.filter(({ kind }) => SpanKind[kind] === 'CLIENT');
  expect(spans).toHaveLength(3);
  expect(tries.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([
    ...[call?.spanContext().spanId, call?.spanContext().spanId],
  ]);
  expect(
    tries.map(({ attributes }) => [attributes['service.peer.name'], attributes['http.request.resend_count']]),
  ).toEqual([
    ['STOCK', undefined],
    ['STOCK', 1],
  ]);
  // One identity, not two.
  expect(spanIdOf(heard[0]?.['traceparent'])).toBe(tries[1]?.spanContext().spanId);
  expect(heard[0]?.['traceparent']).not.toContain(',');
  // What is no call to a service says nothing of one.
  await (await fetch(`http://127.0.0.1:${port}/`)).text();
  expect(discoverySpanAttributes({})).toEqual({});
  expect(exporter.getFinishedSpans().at(-1)?.attributes).not.toHaveProperty('service.peer.name');
});

describe('metrics', () => {
  test('every one that is documented has values, with the labels that are promised', async () => {
    const collect = metering();
    const dead = await refusing();
    const { port } = await hearing();
    const { app, stock, registry } = await shop([dead, port], {
      configOptions: { debounceMs: 1 },
      http: {
        ejection: { consecutiveFailures: 1 },
        balancing: (all, { tried }) => all.find((one) => (one.port === dead) === (tried === undefined)),
        retry: { budgetPerSecond: 0, budgetShare: 0 },
      },
    });
    await get(stock);
    // Ejected since, so that the other answers, and fails now.
    const failing = await serving((_request, response) => response.writeHead(503).end());
    registry.addInstance('STOCK', { port: failing, id: 'failing' });
    registry.addInstance('STOCK', { port: 9, id: 'down', status: 'DOWN' });
    const discovery = app.get(DiscoveryTelemetry);
    await expect.poll(() => discovery.snapshot().services[0]?.down).toBe(1);
    await stock.axiosRef.get('/', { loadBalancing: {} } as never).catch(() => {});
    registry.setDocument('application.yaml', 'limit: 1');
    await expect.poll(async () => (await collect()).get('service_discovery.config.changes')?.[0]?.value).toBe(1);
    registry.setDocument('application.yaml', 'limit: [');
    await expect.poll(async () => (await collect()).get('service_discovery.config.rejections')?.[0]?.value).toBe(1);

    const all = await collect();
    const values = (name: string) =>
      (all.get(`service_discovery.${name}`) ?? []).map(({ value, attributes }) => [
        ...Object.values(attributes),
        value,
      ]);
    expect(values('client.call.attempts')).toEqual(
      expect.arrayContaining([
        ['STOCK', 'first', 2],
        ['STOCK', 'retry', 1],
        ['STOCK', 'hedge', 0],
      ]),
    );
    expect(values('client.active_calls')).toEqual([['STOCK', 0]]);
    expect(values('instances')).toEqual([
      ['STOCK', 'routable', 2],
      ['STOCK', 'ejected', 1],
      ['STOCK', 'down', 1],
    ]);
    expect(values('snapshot.age')).toEqual([['STOCK', 'fresh', 0]]);
    expect(values('registration.age')).toEqual([['in-memory', 'registered', expect.any(Number)]]);
    expect(values('registrations')).toEqual([['in-memory', 'registered', 1]]);
    expect(values('backend.ready')).toEqual([['in-memory', 1]]);
    expect(values('config.changes')).toEqual([['in-memory', 1]]);
    expect(values('config.rejections')).toEqual([['in-memory', 1]]);
    for (const { name, labels } of [CALL_DURATION, ...READ_METRICS]) {
      // Of what never happened, and of a gateway where there is none, nothing is told.
      if (/records\.skipped|\.gateway\./.test(name)) continue;
      const points = all.get(name) ?? [];
      expect(points, name).not.toEqual([]);
      for (const { attributes } of points)
        expect(labels, name).toEqual(expect.arrayContaining(Object.keys(attributes)));
    }
    // Never an address.
    expect(JSON.stringify([...all].map(([, points]) => points.map(({ attributes }) => attributes)))).not.toContain(
      '127.0.0.1',
    );
  });

  test('stay bounded whatever is called, and end with the app', async () => {
    const collect = metering();
    const { port } = await hearing();
    const { app, stock, registry } = await shop([port], {}, { maxServices: 5 });
    await get(stock);
    const http = app.get(ServiceHttpClient, { strict: false });
    for (let i = 0; i < 20; i += 1) {
      registry.addInstance(`S${i}`, { port });
      await http.axiosRef.get(`lb://S${i}/`);
    }
    const services = new Set(
      [...(await collect()).values()].flatMap((points) =>
        points.flatMap(({ attributes }) => attributes['service.peer.name'] ?? []),
      ),
    );
    expect(services.size).toBe(6);
    expect(services).toContain('other');
    await app.close();
    expect(observing(app)).toBe(false);
  });
});

test('picks are counted and measured as calls are, and have no span', async () => {
  const exporter = tracing();
  const collect = metering();
  const { app } = await shop([await refusing()], { http: { ejection: false } });
  const discovery = app.get(DiscoveryClient);
  const open = await discovery.pick('STOCK');
  for (let i = 0; i < 300; i += 1)
    (await discovery.pick('STOCK')).failed(Object.assign(new Error('no'), { code: `CODE_${i}` }));
  (await discovery.pick('STOCK', { tried: new Set([open.instance.url]) })).succeeded();
  const found = await collect();
  const valuesOf = (name: string) => found.get(`service_discovery.client.${name}`) ?? [];
  const peer = { 'service.peer.name': 'STOCK' };
  expect(valuesOf('active_calls').map(({ value, attributes }) => [value, attributes])).toEqual([[1, peer]]);
  expect(valuesOf('call.attempts').map(({ value, attributes }) => [attributes['reason'], value])).toEqual(
    expect.arrayContaining([
      ['first', 301],
      ['retry', 1],
    ]),
  );
  const durations = valuesOf('call.duration');
  expect(durations.map(({ attributes }) => attributes)).toContainEqual({ ...peer, outcome: 'success' });
  expect(durations.length).toBeLessThanOrEqual(102);
  expect(exporter.getFinishedSpans()).toEqual([]);
});

test('without an SDK nobody observes, and a call is what it was', async () => {
  const { port, heard } = await hearing();
  const { app, stock } = await shop([port]);
  await get(stock);
  expect(observing(app)).toBe(false);
  expect(heard[0]).not.toHaveProperty('traceparent');
});

test.each([
  [{ attemptSpans: 'sometimes' }, 'attemptSpans'],
  [{ maxServices: 0 }, 'maxServices'],
  [{ trace: true }, 'trace'],
])('%j is refused, naming %s', (options, field) => {
  expect(() => DiscoveryOpenTelemetryModule.forRoot(options as never)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field }),
  );
});

test('works as it is imported, without forRoot', async () => {
  const registry = new InMemoryRegistry();
  @Module({
    imports: [
      DiscoveryOpenTelemetryModule,
      DiscoveryModule.forRoot({ registry: registry.backend(), config: registry.backend({ name: 'c' }) }),
    ],
  })
  class AppModule {}
  await expect(init(AppModule)).resolves.toBeDefined();
});
