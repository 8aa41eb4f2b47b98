import 'reflect-metadata';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Injectable, Module, type DynamicModule, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { context, createNoopMeter, metrics, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import { firstValueFrom } from 'rxjs';
import { Pool } from 'undici';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from 'nestjs-service-discovery';
import { DiscoveryOpenTelemetryModule } from 'nestjs-service-discovery/opentelemetry';
import { DiscoveryPrometheusModule } from 'nestjs-service-discovery/prometheus';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';
import { Registry } from 'prom-client';
import { median, round } from './statistics.js';

/** Calls that are under way at a time. */
const CONCURRENCY = 32;
const ROUNDS = 40;
const ROUND_MS = 150;
const WARM_UP_MS = 600;

/** One way to make the call, with what is on while it is measured. */
interface Client {
  readonly name: string;
  get(): Promise<unknown>;
  on?(): void;
  off?(): void;
  close(): Promise<void>;
}

/**
 * CPU of a JSON GET to a discovered service without telemetry, with the module and no SDK, with metrics, with spans and with
 * both; beside them undici at a fixed address, bare and with OpenTelemetry's own instrumentation. All calls are made in
 * the course of a traced request, as in an app: medians of the
 * quicker half of alternated rounds.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const server = fork(join(import.meta.dirname, 'http/server.mjs'), { execArgv: [] });
  try {
    const [{ ports }] = (await once(server, 'message')) as [{ ports: readonly number[] }];
    await compare(ports, json);
  } finally {
    await stop(server);
  }
}

async function compare(ports: readonly number[], json: boolean): Promise<void> {
  // In this order: what is made before an SDK is there has none.
  const clients = [await ours('plain', ports), await ours('off', ports, DiscoveryOpenTelemetryModule.forRoot())];
  startMetrics();
  clients.push(await ours('metrics', ports, DiscoveryOpenTelemetryModule.forRoot({ spans: false })));
  startTraces();
  clients.push(await ours('spans', ports, DiscoveryOpenTelemetryModule.forRoot({ metrics: false })));
  clients.push(await ours('both', ports, DiscoveryOpenTelemetryModule.forRoot()));
  clients.push(await ours('prom-client', ports, DiscoveryPrometheusModule.forRoot({ registry: new Registry() })));
  const origin = `http://127.0.0.1:${ports[0]}`;
  clients.push(undici('undici', origin));
  clients.push(undici('undici spans', origin, instrumentation(false)));
  clients.push(undici('undici both', origin, instrumentation(true)));
  const parent = trace.getTracer('bench').startSpan('request');
  try {
    await context.with(trace.setSpan(context.active(), parent), () => measureAll(clients, json));
  } finally {
    for (const client of clients) await client.close();
  }
}

async function measureAll(clients: readonly Client[], json: boolean): Promise<void> {
  const samples = new Map<string, number[]>(clients.map(({ name }) => [name, []]));
  for (const client of clients) await measure(client, WARM_UP_MS);
  for (let i = 0; i < ROUNDS; i += 1) {
    // Each second round backwards, so that none always comes after the same other one.
    for (const client of i % 2 === 0 ? clients : clients.toReversed()) {
      samples.get(client.name)?.push(await measure(client, ROUND_MS));
    }
  }
  const costs = new Map([...samples].map(([name, list]) => [name, undisturbed(list)]));
  for (const [name, cost] of costs)
    process.stdout.write(`${name.padEnd(14)} ${round(cost).toFixed(1).padStart(6)} µs of CPU a call\n`);
  const ratio = (a: string, b: string): number => round((costs.get(a) ?? NaN) / (costs.get(b) ?? NaN), 3);
  const result = {
    offVsPlain: ratio('off', 'plain'),
    metricsVsPlain: ratio('metrics', 'plain'),
    promClientVsPlain: ratio('prom-client', 'plain'),
    spansVsPlain: ratio('spans', 'plain'),
    spansVsUndiciInstrumented: ratio('spans', 'undici spans'),
    bothVsUndiciInstrumented: ratio('both', 'undici both'),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** What else the machine does only ever adds: the middle of the quicker half. */
function undisturbed(list: readonly number[]): number {
  return median(list.toSorted((a, b) => a - b).slice(0, list.length / 2));
}

async function measure(client: Client, forMs: number): Promise<number> {
  client.on?.();
  let calls = 0;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (performance.now() - startedAt < forMs) {
      await client.get();
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const { user, system } = process.cpuUsage(cpu);
  client.off?.();
  return (user + system) / calls;
}

/** Collected by nobody: what recording costs is measured, not what is done with it. */
class IdleReader extends MetricReader {
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}

function startMetrics(): void {
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [new IdleReader()] }));
}

/** Spans are batched, as apps do, and dropped. */
function startTraces(): void {
  const exporter: SpanExporter = { export: (_spans, done) => done({ code: 0 }), shutdown: () => Promise.resolve() };
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: 65_536 })] }),
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
}

function instrumentation(withMetrics: boolean): UndiciInstrumentation {
  const made = new UndiciInstrumentation();
  made.disable();
  if (!withMetrics) made.setMeterProvider({ getMeter: () => createNoopMeter() });
  return made;
}

function undici(name: string, origin: string, instrumented?: UndiciInstrumentation): Client {
  const pool = new Pool(origin);
  return {
    name,
    get: async () => (await pool.request({ method: 'GET', path: '/things/4711' })).body.json(),
    on: () => instrumented?.enable(),
    off: () => instrumented?.disable(),
    close: () => pool.close(),
  };
}

async function ours(name: string, ports: readonly number[], telemetry?: DynamicModule): Promise<Client> {
  const registry = new InMemoryRegistry();
  for (const port of ports) registry.addInstance('THINGS', { port });
  const backend = registry.backend();
  @Injectable()
  class Shop {
    constructor(@DiscoverableClient('THINGS') readonly things: ServiceHttpClient) {}
  }
  const imports: (DynamicModule | Type)[] = telemetry === undefined ? [] : [telemetry];
  @Module({ providers: [Shop], imports: [...imports, DiscoveryModule.forRoot({ registry: backend, config: backend })] })
  class BenchModule {}
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: false });
  const { things } = app.get(Shop);
  return {
    name,
    get: async () => (await firstValueFrom(things.get('/things/4711'))).data,
    close: () => app.close(),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}
