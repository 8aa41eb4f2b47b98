import 'reflect-metadata';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ClientTCP, type ClientProxy } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import { Pool, fetch as undiciFetch } from 'undici';
import { DiscoverableClient, DiscoveryModule, ServiceHttpClient } from 'nestjs-service-discovery';
import { serviceDispatcher } from 'nestjs-service-discovery/fetch';
import { DiscoverableClientProxy, GrpcDiscovery } from 'nestjs-service-discovery/microservices';
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

/** What a call costs, in microseconds: of this process's CPU, and by the clock. */
interface Cost {
  readonly cpu: number;
  readonly time: number;
}

/** The ports of what is called. */
interface Ports {
  readonly http: readonly number[];
  readonly grpc: readonly number[];
  readonly tcp: readonly number[];
}

/**
 * A call to a discovered service of two instances by each protocol's client, balanced and tracked for ejection; beside it what
 * one would take instead: the same client at one fixed address, gRPC's own round_robin over both. Of each the CPU of this process
 * and the time, with 32 calls under way; medians of alternated rounds.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const servers = ['http/server.mjs', 'protocols/server.mjs'].map((file) =>
    fork(join(import.meta.dirname, file), { execArgv: [] }),
  );
  try {
    const [[http], [others]] = (await Promise.all(servers.map((server) => once(server, 'message')))) as [
      [{ ports: readonly number[] }],
      [Omit<Ports, 'http'>],
    ];
    await compare({ http: http.ports, ...others }, json);
  } finally {
    const exited = Promise.all(servers.map((server) => once(server, 'exit')));
    for (const server of servers) server.disconnect();
    await exited;
  }
}

async function compare(ports: Ports, json: boolean): Promise<void> {
  const registry = new InMemoryRegistry();
  for (const port of ports.http) registry.addInstance('THINGS', { port });
  for (const port of ports.grpc) registry.addInstance('GRPC_THINGS', { port, scheme: 'grpc' });
  for (const port of ports.tcp) registry.addInstance('TCP_THINGS', { port, scheme: 'tcp' });
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
  const dispatcher = serviceDispatcher(things);
  const origin = `http://127.0.0.1:${ports.http[0]}`;
  const pool = new Pool(origin);
  const path = '/things/4711';
  const target = await app.get(GrpcDiscovery).target('GRPC_THINGS');
  const grpcDiscovered = new Things(target.url, credentials.createInsecure(), target.channelOptions);
  const grpcRoundRobin = new Things(
    `ipv4:${ports.grpc.map((port) => `127.0.0.1:${port}`).join(',')}`,
    credentials.createInsecure(),
    { 'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }) },
  );
  const tcp = new ClientTCP({ host: '127.0.0.1', port: ports.tcp[0] ?? 0 });
  const ways: readonly Way[] = [
    { name: 'fetch', call: async () => (await fetch(origin + path)).json() },
    { name: 'undici.fetch', call: async () => (await undiciFetch(origin + path)).json() },
    { name: 'client.fetch', call: async () => (await things.fetch(path)).json() },
    { name: 'pool', call: async () => (await pool.request({ method: 'GET', path })).body.json() },
    {
      name: 'dispatcher',
      call: async () => (await dispatcher.request({ origin: 'http://things', method: 'GET', path })).body.json(),
    },
    // With the deadline that calls to services have by themselves: both sides keep a timer for it.
    { name: 'round_robin', call: () => ask(grpcRoundRobin, { deadline: Date.now() + 10_000 }) },
    { name: 'grpc', call: () => ask(grpcDiscovered, {}) },
    { name: 'ClientTCP', call: () => firstValueFrom(tcp.send('get', {})) },
    { name: 'tcp', call: () => firstValueFrom(messages.send('get', {})) },
  ];
  const samples = new Map<string, Cost[]>(ways.map(({ name }) => [name, []]));
  try {
    for (const way of ways) await measure(way, WARM_UP_MS);
    for (let i = 0; i < ROUNDS; i += 1)
      for (const way of ways) samples.get(way.name)?.push(await measure(way, ROUND_MS));
  } finally {
    await pool.close();
    for (const client of [grpcDiscovered, grpcRoundRobin, tcp]) client.close();
    await app.close();
  }
  const middle = (name: string, of: keyof Cost): string =>
    round(median((samples.get(name) ?? []).map((cost) => cost[of])))
      .toFixed(1)
      .padStart(6);
  for (const { name } of ways) {
    process.stdout.write(`${name.padEnd(14)} ${middle(name, 'cpu')} µs of CPU a call, ${middle(name, 'time')} µs\n`);
  }
  // Of each round by itself: neighbours were under the same load.
  const ratio = (a: string, b: string, of: keyof Cost): number =>
    round(median((samples.get(a) ?? []).map((one, i) => one[of] / (samples.get(b)?.[i]?.[of] ?? NaN))), 2);
  const result = {
    // The `fetch` that it is made of, which is undici's, as Node brings it; and the npm package's.
    fetchVsUndiciFetch: ratio('client.fetch', 'fetch', 'cpu'),
    fetchVsNpmUndiciFetch: ratio('client.fetch', 'undici.fetch', 'cpu'),
    dispatcherVsPool: ratio('dispatcher', 'pool', 'cpu'),
    grpcVsRoundRobin: ratio('grpc', 'round_robin', 'time'),
    grpcVsRoundRobinCpu: ratio('grpc', 'round_robin', 'cpu'),
    tcpVsClientTCP: ratio('tcp', 'ClientTCP', 'time'),
    tcpVsClientTCPCpu: ratio('tcp', 'ClientTCP', 'cpu'),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** The client class of the bench's gRPC servers. */
const { Things } = (
  loadPackageDefinition(loadSync(join(import.meta.dirname, 'protocols/things.proto'))) as unknown as {
    things: { Things: ServiceClientConstructor };
  }
).things;

function ask(client: InstanceType<ServiceClientConstructor>, options: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client['Get']?.({ id: 4711 }, options, (error: Error | null, thing: unknown) => {
      if (error === null) resolve(thing);
      else reject(error);
    });
  });
}

async function measure({ call }: Way, forMs: number): Promise<Cost> {
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
  return { cpu: (user + system) / calls, time: ((performance.now() - startedAt) * 1000) / calls };
}
