import 'reflect-metadata';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryModule, ServiceHttpClient } from 'nestjs-service-discovery';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';

const CALLS = 1000;
const CONCURRENCY = 20;

/**
 * An app in zone `a`, all of whose instances of a service are gone and still registered, and as many in zone `b`: how many
 * of 1,000 calls fail, with ejection as it is by default.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const results: Record<string, number> = {};
  for (const each of [2, 3, 10]) {
    for (const maxAttempts of [3, 'all'] as const) {
      results[`${each}+${each}, maxAttempts ${maxAttempts}`] = await measure(each, maxAttempts);
    }
  }
  for (const [name, failed] of Object.entries(results)) {
    process.stdout.write(`${name.padEnd(26)}${String(failed).padStart(6)} of ${CALLS} failed\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify(results)}\n`);
}

async function measure(each: number, maxAttempts: number | 'all'): Promise<number> {
  const registry = new InMemoryRegistry();
  const gone = await Promise.all(Array.from({ length: each }, serve));
  const alive = await Promise.all(Array.from({ length: each }, serve));
  for (const server of gone) registry.addInstance('STOCK', { port: portOf(server), zone: 'a' });
  for (const server of alive) registry.addInstance('STOCK', { port: portOf(server), zone: 'b' });
  await Promise.all(gone.map(close));
  const backend = registry.backend();
  class BenchModule {}
  Module({
    imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, zone: 'a', http: { maxAttempts } })],
  })(BenchModule);
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: false });
  const client = app.get(ServiceHttpClient);
  let [failed, started] = [0, 0];
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (started < CALLS) {
        started += 1;
        await client.axiosRef.get('lb://STOCK/').catch(() => (failed += 1));
      }
    }),
  );
  await app.close();
  await Promise.all(alive.map(close));
  return failed;
}

async function serve(): Promise<Server> {
  const server = createServer((_request, response) => response.end('ok'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
