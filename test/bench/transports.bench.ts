import 'reflect-metadata';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientGrpcProxy, ClientNats, ClientTCP, type ClientProxy } from '@nestjs/microservices';
import axios from 'axios';
import { firstValueFrom, type Observable } from 'rxjs';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from 'nestjs-service-discovery';
import { DiscoverableClientProxy, GrpcDiscovery } from 'nestjs-service-discovery/microservices';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';
import { ServerPool } from '../servers/pool.js';
import { median, round } from './statistics.js';

/** Calls that are under way at a time. */
const CONCURRENCY = 32;
const ROUNDS = 9;
const ROUND_MS = 700;
const WARM_UP_MS = 1000;

/** One way to call the same handler. */
interface Way {
  readonly name: string;
  readonly call: () => Promise<unknown>;
}

/** What one way does in one round. */
interface Sample {
  readonly perSecond: number;
  readonly p99Ms: number;
  /** Of the caller, in microseconds a call. */
  readonly cpu: number;
}

interface Ports {
  readonly http: number;
  readonly tcp: number;
  readonly grpc: number;
}

/**
 * The same handler of one Nest app, called by each of Nest's transports and by ours over the same: calls a second, the slowest
 * hundredth, and the caller's CPU for a call, in one run, in alternated rounds.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const pool = new ServerPool();
  const acquired = await pool.start('nats', 'current');
  if (!acquired.available) throw new Error(`no NATS: ${acquired.reason}`);
  const { url } = acquired.server;
  const server = fork(join(import.meta.dirname, 'transports/server.mjs'), [url], { execArgv: [] });
  try {
    const [ports] = (await once(server, 'message')) as [Ports];
    await compare(ports, url, json);
  } finally {
    const exited = once(server, 'exit');
    server.disconnect();
    await exited;
    await pool.end();
  }
}

interface Things {
  get(wanted: object): Observable<unknown>;
}

async function compare(ports: Ports, natsUrl: string, json: boolean): Promise<void> {
  const registry = new InMemoryRegistry();
  registry.addInstance('THINGS', { port: ports.http });
  registry.addInstance('GRPC_THINGS', { port: ports.grpc, scheme: 'grpc' });
  registry.addInstance('TCP_THINGS', { port: ports.tcp, scheme: 'tcp' });
  const backend = registry.backend();
  @Injectable()
  class Shop {
    constructor(
      @DiscoverableClient('THINGS') readonly things: ServiceHttpClient,
      @DiscoverableClientProxy('TCP_THINGS') readonly messages: ClientProxy,
    ) {}
  }
  @Module({ providers: [Shop], imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
  class BenchModule {}
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: false });
  const { things, messages } = app.get(Shop);
  const path = '/things/4711';
  const proto = { package: 'things', protoPath: join(import.meta.dirname, 'protocols/things.proto') };
  const keepAlive = axios.create({ httpAgent: new Agent({ keepAlive: true, maxSockets: CONCURRENCY }) });
  const tcp = new ClientTCP({ host: '127.0.0.1', port: ports.tcp });
  const nats = new ClientNats({ servers: [natsUrl] });
  const grpc = new ClientGrpcProxy({ ...proto, url: `127.0.0.1:${ports.grpc}` });
  const discovered = new ClientGrpcProxy({ ...proto, ...(await app.get(GrpcDiscovery).target('GRPC_THINGS')) });
  const ask = (client: ClientGrpcProxy): (() => Promise<unknown>) => {
    const service = client.getService<Things>('Things');
    return () => firstValueFrom(service.get({ id: 4711 }));
  };
  const ways: readonly Way[] = [
    {
      name: 'HTTP, axios',
      call: async () => (await keepAlive.get(`http://127.0.0.1:${ports.http}${path}`)).data as unknown,
    },
    { name: 'HTTP, ours', call: async () => (await things.axiosRef.get(path)).data as unknown },
    { name: 'TCP, Nest', call: () => firstValueFrom(tcp.send('get', {})) },
    { name: 'TCP, ours', call: () => firstValueFrom(messages.send('get', {})) },
    { name: 'gRPC, Nest', call: ask(grpc) },
    { name: 'gRPC, ours', call: ask(discovered) },
    { name: 'NATS, Nest', call: () => firstValueFrom(nats.send('get', {})) },
  ];
  const samples = new Map<string, Sample[]>(ways.map(({ name }) => [name, []]));
  try {
    for (const way of ways) await measure(way, WARM_UP_MS);
    for (let i = 0; i < ROUNDS; i += 1)
      for (const way of ways) samples.get(way.name)?.push(await measure(way, ROUND_MS));
  } finally {
    for (const client of [tcp, nats, grpc, discovered]) await client.close();
    await app.close();
  }
  const result: Record<string, Sample> = {};
  for (const [name, all] of samples) {
    const middle = (of: keyof Sample): number => median(all.map((sample) => sample[of]));
    const [perSecond, p99Ms, cpu] = [round(middle('perSecond'), 0), round(middle('p99Ms'), 2), round(middle('cpu'))];
    result[name] = { perSecond, p99Ms, cpu };
    process.stdout.write(
      `${name.padEnd(14)} ${String(perSecond).padStart(7)} calls/s   p99 ${p99Ms.toFixed(2).padStart(6)} ms   ${cpu.toFixed(1).padStart(6)} µs of CPU a call\n`,
    );
  }
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function measure({ call }: Way, forMs: number): Promise<Sample> {
  const times: number[] = [];
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    for (let now = performance.now(); now - startedAt < forMs;) {
      const answer = (await call()) as { readonly id?: unknown };
      if (answer.id !== 4711) throw new Error('a wrong answer');
      const then = now;
      now = performance.now();
      times.push(now - then);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const { user, system } = process.cpuUsage(cpu);
  const tookMs = performance.now() - startedAt;
  times.sort((a, b) => a - b);
  return {
    perSecond: (times.length * 1000) / tookMs,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? NaN,
    cpu: (user + system) / times.length,
  };
}
