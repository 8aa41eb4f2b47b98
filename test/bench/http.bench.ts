import 'reflect-metadata';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import axios from 'axios';
import { firstValueFrom } from 'rxjs';
import { Pool } from 'undici';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from 'nestjs-service-discovery';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';
import { median, round } from './statistics.js';

/** Calls that are under way at a time. */
const CONCURRENCY = 32;
const ROUNDS = 9;
const ROUND_MS = 600;
const WARM_UP_MS = 400;

const PAYLOAD = {
  id: 4711,
  quantity: 3,
  note: 'please wrap it',
  lines: [1, 2, 3],
  address: { city: 'Bern', zip: '3000' },
};

type Answer = { readonly id: number };

/** One way to make the two calls; each gives the parsed answer. */
interface Client {
  readonly name: string;
  get(): Promise<Answer>;
  post(): Promise<Answer>;
  close(): Promise<void> | void;
}

interface Sample {
  readonly callsPerSecond: number;
  readonly cpuMicros: number;
}

/**
 * JSON GET and POST to a discovered service of two instances, balanced and tracked for ejection, through
 * `ServiceHttpClient`; beside them what else one would take, at one fixed address: medians of alternated rounds.
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
  const origin = `http://127.0.0.1:${ports[0]}`;
  const ours = await openOurs(ports);
  const clients = [plainAxios(origin), plainFetch(origin), bareUndici(origin), ours.client, ours.axiosRef];
  const result: Record<string, Record<string, number>> = {};
  try {
    for (const verb of ['get', 'post'] as const) {
      const samples = await alternate(clients, verb);
      const of = (name: string): Sample => {
        const list = samples.get(name) ?? [];
        return {
          callsPerSecond: median(list.map((sample) => sample.callsPerSecond)),
          cpuMicros: median(list.map((sample) => sample.cpuMicros)),
        };
      };
      for (const { name } of clients) {
        const { callsPerSecond, cpuMicros } = of(name);
        process.stdout.write(
          `${verb.padEnd(5)} ${name.padEnd(12)} ${String(round(callsPerSecond, 0)).padStart(6)} calls/s   ` +
            `${round(cpuMicros).toFixed(1).padStart(6)} µs of CPU a call\n`,
        );
      }
      // Of each round by itself: neighbours were under the same load.
      const ratio = (a: string, b: string, field: keyof Sample): number =>
        round(median((samples.get(a) ?? []).map((one, i) => one[field] / (samples.get(b)?.[i]?.[field] ?? NaN))), 2);
      result[verb] = {
        throughputVsAxios: ratio('ours', 'axios', 'callsPerSecond'),
        cpuVsAxios: ratio('ours', 'axios', 'cpuMicros'),
        cpuVsUndici: ratio('ours', 'undici', 'cpuMicros'),
        axiosRefThroughputVsAxios: ratio('axiosRef', 'axios', 'callsPerSecond'),
        axiosRefCpuVsAxios: ratio('axiosRef', 'axios', 'cpuMicros'),
      };
    }
  } finally {
    for (const client of clients) await client.close();
  }
  for (const [verb, ratios] of Object.entries(result)) {
    process.stdout.write(`${verb.padEnd(5)} ${JSON.stringify(ratios)}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify(worstOf(result))}\n`);
}

/** Of GET and POST, the worse one. */
function worstOf(result: Record<string, Record<string, number>>): Record<string, number> {
  const of = (key: string): number[] => Object.values(result).map((ratios) => ratios[key] ?? NaN);
  return {
    throughputVsAxios: Math.min(...of('throughputVsAxios')),
    cpuVsAxios: Math.max(...of('cpuVsAxios')),
    cpuVsUndici: Math.max(...of('cpuVsUndici')),
  };
}

async function alternate(clients: readonly Client[], verb: 'get' | 'post'): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(clients.map(({ name }) => [name, []]));
  for (const client of clients) await measure(() => client[verb](), WARM_UP_MS);
  for (let i = 0; i < ROUNDS; i += 1) {
    for (const client of clients) samples.get(client.name)?.push(await measure(() => client[verb](), ROUND_MS));
  }
  return samples;
}

async function measure(call: () => Promise<Answer>, forMs: number): Promise<Sample> {
  let calls = 0;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (performance.now() - startedAt < forMs) {
      const answer = await call();
      if (answer.id !== 4711) throw new Error('a wrong answer');
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const passed = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  return { callsPerSecond: (calls * 1000) / passed, cpuMicros: (user + system) / calls };
}

function plainAxios(origin: string): Client {
  const httpAgent = new Agent({ keepAlive: true });
  const instance = axios.create({ baseURL: origin, httpAgent, proxy: false, timeout: 10_000 });
  return {
    name: 'axios',
    get: async () => (await instance.get<Answer>('/things/4711')).data,
    post: async () => (await instance.post<Answer>('/things', PAYLOAD)).data,
    close: () => httpAgent.destroy(),
  };
}

function plainFetch(origin: string): Client {
  const headers = { 'content-type': 'application/json' };
  return {
    name: 'fetch',
    get: async () => (await (await fetch(`${origin}/things/4711`)).json()) as Answer,
    post: async () =>
      (await (
        await fetch(`${origin}/things`, { method: 'POST', headers, body: JSON.stringify(PAYLOAD) })
      ).json()) as Answer,
    close: () => {},
  };
}

function bareUndici(origin: string): Client {
  const pool = new Pool(origin);
  const headers = { 'content-type': 'application/json' };
  return {
    name: 'undici',
    get: async () => (await (await pool.request({ method: 'GET', path: '/things/4711' })).body.json()) as Answer,
    post: async () => {
      const { body } = await pool.request({ method: 'POST', path: '/things', headers, body: JSON.stringify(PAYLOAD) });
      return (await body.json()) as Answer;
    },
    close: () => pool.close(),
  };
}

/** The service as an app has it: its client, and the same through axios's pipeline. */
async function openOurs(ports: readonly number[]): Promise<{ client: Client; axiosRef: Client }> {
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
  return {
    client: {
      name: 'ours',
      get: async () => (await firstValueFrom(things.get<Answer>('/things/4711'))).data,
      post: async () => (await firstValueFrom(things.post<Answer>('/things', PAYLOAD))).data,
      close: () => app.close(),
    },
    axiosRef: {
      name: 'axiosRef',
      get: async () => (await things.axiosRef.get<Answer>('/things/4711')).data,
      post: async () => (await things.axiosRef.post<Answer>('/things', PAYLOAD)).data,
      close: () => {},
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}
