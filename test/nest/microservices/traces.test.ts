import { credentials, status, type ServiceError } from '@grpc/grpc-js';
import { Controller } from '@nestjs/common';
import { MessagePattern, Transport, type ClientProxy } from '@nestjs/microservices';
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { Module } from '@nestjs/common';
import { firstValueFrom } from 'rxjs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { GrpcDiscovery, MessageDiscovery } from '../../../lib/integrations/microservices/index.js';
import { DiscoveryOpenTelemetryModule } from '../../../lib/integrations/opentelemetry/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createApp } from '../support.js';
import { failing, greeterClass, GreeterServer } from './greeters.js';

const ends: (() => unknown)[] = [];
let exporter: InMemorySpanExporter;

beforeEach(() => {
  exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  // Whose spans are those of HTTP, and of nothing else.
  const undici = new UndiciInstrumentation();
  ends.push(() => undici.disable());
});

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  trace.disable();
  context.disable();
  propagation.disable();
});

async function tracedApp(registry: InMemoryRegistry) {
  const backend = registry.backend();
  @Module({
    imports: [DiscoveryOpenTelemetryModule, DiscoveryModule.forRoot({ registry: backend, config: backend })],
  })
  class AppModule {}
  const app = await createApp(AppModule);
  await app.init();
  return app;
}

test('a gRPC call is a span, and its trace goes out with each of its tries', async () => {
  const registry = new InMemoryRegistry();
  const one = await GreeterServer.start('one', failing(status.UNAVAILABLE));
  const two = await GreeterServer.start('two', failing(status.UNAVAILABLE));
  registry.addInstance('GREETER', { port: one.port });
  registry.addInstance('GREETER', { port: two.port });
  const app = await tracedApp(registry);
  const { url, channelOptions } = await app
    .get(GrpcDiscovery)
    .target('GREETER', { idempotent: ['Hello'], maxAttempts: 2 });
  const client = new (greeterClass())(url, credentials.createInsecure(), channelOptions);
  ends.push(() => client.close());
  const tracer = trace.getTracer('test');
  const parent = tracer.startSpan('parent');
  const calls = client as unknown as Record<string, (question: object, done: (error: ServiceError) => void) => void>;
  const error = await context.with(
    trace.setSpan(context.active(), parent),
    () => new Promise<ServiceError>((resolve) => calls['Hello']?.({}, resolve)),
  );
  expect(error.code).toBe(status.UNAVAILABLE);
  const { traceId } = parent.spanContext();
  const sent = [...one.asked, ...two.asked].map(({ metadata }) => String(metadata.get('traceparent')[0]));
  expect(sent).toHaveLength(2);
  const spans = exporter.getFinishedSpans();
  const [whole] = spans.filter(({ name }) => name === 'hello.Greeter/Hello GREETER');
  expect(whole).toMatchObject({
    kind: SpanKind.CLIENT,
    attributes: { 'service.peer.name': 'GREETER', 'service_discovery.protocol': 'grpc', 'error.type': 'UNAVAILABLE' },
  });
  expect(whole?.parentSpanContext?.spanId).toBe(parent.spanContext().spanId);
  expect(spans.every((span) => span.spanContext().traceId === traceId)).toBe(true);
  expect(sent.every((header) => header.includes(traceId))).toBe(true);
  // Two tries, each with its own.
  expect(new Set(sent).size).toBe(2);
});

test('a message is a span, and its trace goes out with it', async () => {
  const registry = new InMemoryRegistry();
  @Controller()
  class Hop {
    @MessagePattern('quote')
    quote(): string {
      return 'quoted';
    }
  }
  const serverRegistry = new InMemoryRegistry().backend();
  @Module({
    controllers: [Hop],
    imports: [DiscoveryModule.forRoot({ registry: serverRegistry, config: serverRegistry })],
  })
  class ServerModule {}
  const server = await createApp(ServerModule);
  const microservice = server.connectMicroservice({
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
  });
  await server.startAllMicroservices();
  const { port } = microservice.unwrap<{ address(): { port: number } }>().address();
  registry.addInstance('STOCK', { port, scheme: 'tcp' });
  const app = await tracedApp(registry);
  const packets: Record<string, unknown>[] = [];
  const serializer = {
    serialize: (packet: Record<string, unknown>) => {
      packets.push(packet);
      return packet;
    },
  };
  const target = await app.get(MessageDiscovery).target('STOCK', { tcp: { serializer } });
  const client = new target.customClass(target.options) as ClientProxy;
  ends.push(() => client.close());
  const parent = trace.getTracer('test').startSpan('parent');
  const answer = await context.with(trace.setSpan(context.active(), parent), () =>
    firstValueFrom(client.send('quote', {})),
  );
  expect(answer).toBe('quoted');
  await expect.poll(() => exporter.getFinishedSpans()).toHaveLength(1);
  const [span] = exporter.getFinishedSpans();
  expect(span).toMatchObject({ name: 'quote STOCK', kind: SpanKind.CLIENT });
  expect(span?.attributes['http.response.status_code']).toBeUndefined();
  const { traceId } = parent.spanContext();
  const own = span?.spanContext().spanId ?? '';
  expect(packets).toMatchObject([{ pattern: 'quote', metadata: { traceparent: `00-${traceId}-${own}-01` } }]);
});
