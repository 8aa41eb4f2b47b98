import 'reflect-metadata';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Pool, fetch as undiciFetch } from 'undici';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from 'nestjs-service-discovery';
import { serviceDispatcher } from 'nestjs-service-discovery/fetch';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';
import { median, round } from './statistics.js';

/** Calls that are under way at a time. */
const CONCURRENCY = 32;
const ROUNDS = 15;
const ROUND_MS = 500;
const WARM_UP_MS = 600;

/** One way to make the call: gives the parsed answer. */
interface Way {
  readonly name: string;
  readonly call: () => Promise<unknown>;
}

/**
 * A JSON GET to a discovered service of two instances by each protocol's client, balanced and tracked for ejection; beside it
 * the same client at one fixed address. CPU of this process for each call, medians of alternated rounds.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const server = fork(join(import.meta.dirname, 'http/server.mjs'), { execArgv: [] });
  try {
    const [{ ports }] = (await once(server, 'message')) as [{ ports: readonly number[] }];
    await compare(ports, json);
  } finally {
    const exited = once(server, 'exit');
    server.disconnect();
    await exited;
  }
}

async function compare(ports: readonly number[], json: boolean): Promise<void> {
  const registry = new InMemoryRegistry();
  for (const port of ports) registry.addInstance('THINGS', { port });
  const backend = registry.backend();
  @Injectable()
  class Shop {
    constructor(@DiscoverableClient('THINGS') readonly things: ServiceHttpClient) {}
  }
  @Module({ providers: [Shop], imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
  class BenchModule {}
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: false });
  const { things } = app.get(Shop);
  const dispatcher = serviceDispatcher(things);
  const origin = `http://127.0.0.1:${ports[0]}`;
  const pool = new Pool(origin);
  const path = '/things/4711';
  const ways: readonly Way[] = [
    { name: 'fetch', call: async () => (await fetch(origin + path)).json() },
    { name: 'undici.fetch', call: async () => (await undiciFetch(origin + path)).json() },
    { name: 'client.fetch', call: async () => (await things.fetch(path)).json() },
    { name: 'pool', call: async () => (await pool.request({ method: 'GET', path })).body.json() },
    {
      name: 'dispatcher',
      call: async () => (await dispatcher.request({ origin: 'http://things', method: 'GET', path })).body.json(),
    },
  ];
  const samples = new Map<string, number[]>(ways.map(({ name }) => [name, []]));
  try {
    for (const way of ways) await measure(way, WARM_UP_MS);
    for (let i = 0; i < ROUNDS; i += 1)
      for (const way of ways) samples.get(way.name)?.push(await measure(way, ROUND_MS));
  } finally {
    await pool.close();
    await app.close();
  }
  for (const { name } of ways) {
    process.stdout.write(
      `${name.padEnd(14)} ${round(median(samples.get(name) ?? []))
        .toFixed(1)
        .padStart(6)} µs of CPU a call\n`,
    );
  }
  // Of each round by itself: neighbours were under the same load.
  const ratio = (a: string, b: string): number =>
    round(median((samples.get(a) ?? []).map((one, i) => one / (samples.get(b)?.[i] ?? NaN))), 2);
  const result = {
    // The `fetch` that it is made of, which is undici's, as Node brings it; and the npm package's.
    fetchVsUndiciFetch: ratio('client.fetch', 'fetch'),
    fetchVsNpmUndiciFetch: ratio('client.fetch', 'undici.fetch'),
    dispatcherVsPool: ratio('dispatcher', 'pool'),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** Microseconds of CPU for each call. */
async function measure({ call }: Way, forMs: number): Promise<number> {
  let calls = 0;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (performance.now() - startedAt < forMs) {
      const answer = (await call()) as { readonly id?: unknown };
      if (answer.id !== 4711) throw new Error('a wrong answer');
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / calls;
}
