import 'reflect-metadata';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryModule, ServiceHttpClient, STRATEGIES, type CallOptions } from 'nestjs-service-discovery';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';
import { round } from './statistics.js';

const CALLS = 4000;
const CONCURRENCY = 20;
const ANSWER_MS = 5;

interface Tail {
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

/**
 * Ten instances, of which one is ten times slower and one fails half of its calls: what callers see with each strategy
 * (with ejection, and without retries, which would hide the errors) beside plain round robin.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const servers = await Promise.all(Array.from({ length: 10 }, (_, index) => serve(index)));
  const results = new Map<string, Tail>();
  try {
    results.set('plain round robin', await measure(servers, { balancing: 'round-robin', ejection: false }));
    for (const balancing of STRATEGIES) results.set(balancing, await measure(servers, { balancing }));
  } finally {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  }
  const plain = results.get('plain round robin');
  process.stdout.write(
    `${''.padEnd(20)}${['p50 ms', 'p99 ms', 'errors', 'p99 vs plain'].map((h) => h.padStart(14)).join('')}\n`,
  );
  const p99VsRoundRobin: Record<string, number> = {};
  const errors: Record<string, number> = {};
  for (const [name, tail] of results) {
    const ratio = round(tail.p99 / (plain?.p99 ?? 1), 2);
    p99VsRoundRobin[name] = ratio;
    errors[name] = round(tail.errors, 4);
    const cells = [round(tail.p50), round(tail.p99), `${round(tail.errors * 100, 2)} %`, ratio];
    process.stdout.write(`${name.padEnd(20)}${cells.map((cell) => String(cell).padStart(14)).join('')}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ p99VsRoundRobin, errors })}\n`);
}

async function serve(index: number): Promise<Server> {
  const server = createServer((_request, response) => {
    const failing = index === 1 && Math.random() < 0.5;
    setTimeout(
      () => response.writeHead(failing ? 503 : 200, { 'content-type': 'application/json' }).end('{"ok":true}'),
      index === 0 ? ANSWER_MS * 10 : ANSWER_MS,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function measure(servers: readonly Server[], options: CallOptions): Promise<Tail> {
  const registry = new InMemoryRegistry();
  for (const server of servers) registry.addInstance('TAIL', { port: (server.address() as AddressInfo).port });
  const backend = registry.backend();
  class BenchModule {}
  Module({
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, http: { ...options, maxAttempts: 1 } })],
  })(BenchModule);
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: false });
  const { axiosRef } = app.get(ServiceHttpClient);
  const times: number[] = [];
  let failed = 0;
  let started = 0;
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async (_, worker) => {
      while (started < CALLS) {
        started += 1;
        const start = performance.now();
        await axiosRef.get('lb://TAIL/', { headers: { 'x-worker': String(worker) } }).catch(() => (failed += 1));
        times.push(performance.now() - start);
      }
    }),
  );
  await app.close();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), errors: failed / times.length };
}
