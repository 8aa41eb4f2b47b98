import 'reflect-metadata';
import { Controller, Module, type INestApplicationContext, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { connect } from 'nats';
import { lastValueFrom, type Observable } from 'rxjs';
import { NatsClient } from '../../lib/backends/nats/index.js';
import { NatsEndpoint, NatsGroup, NatsService, NatsServicesModule } from '../../lib/backends/nats/nest/index.js';
import { ServerPool } from '../servers/pool.js';
import { median, round } from './statistics.js';

const ROUNDS = 7;
const REQUESTS = 20_000;
const CONCURRENCY = 64;
const SINGLE_REQUESTS = 2000;

/** One way of calling a service that adds two numbers. */
interface Contender {
  call(a: number, b: number): Promise<unknown>;
  close(): Promise<unknown>;
}

/** What is used of `@nestjs/microservices`, which the library itself has nothing to do with. */
interface Microservices {
  readonly Transport: { readonly NATS: number };
  readonly ClientProxyFactory: {
    create(options: object): {
      send(pattern: string, data: unknown): Observable<unknown>;
      connect(): Promise<unknown>;
      close(): unknown;
    };
  };
  MessagePattern(pattern: string): MethodDecorator;
  Payload(): ParameterDecorator;
}

/**
 * Requests a second (64 at a time) and latency (one at a time) of `@NatsEndpoint` with `NatsServiceClient`, beside Nest's
 * own NATS transport with its `ClientProxy`, and beside bare `nats` request and reply. Caller and service share a
 * process, so the figures are the cost of both; JSON both ways.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const pool = new ServerPool();
  try {
    const acquired = await pool.start('nats', 'current');
    if (!acquired.available) throw new Error(`no NATS: ${acquired.reason}`);
    const { url } = acquired.server;
    const contenders = { ours: await ours(url), nest: await nest(url), bare: await bare(url) };
    const figures = await measure(contenders);
    for (const contender of Object.values(contenders)) await contender.close();
    const result = {
      requestsPerSecond: round(figures.ours.throughput, 0),
      requestsPerSecondNest: round(figures.nest.throughput, 0),
      requestsPerSecondBare: round(figures.bare.throughput, 0),
      throughputVsNest: round(figures.ours.throughput / figures.nest.throughput, 2),
      throughputVsBare: round(figures.ours.throughput / figures.bare.throughput, 2),
      latencyMicros: round(figures.ours.latency, 0),
      latencyMicrosNest: round(figures.nest.latency, 0),
      latencyMicrosBare: round(figures.bare.latency, 0),
    };
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    say(`requests a second, ${CONCURRENCY} at a time, median of ${ROUNDS} rounds of ${REQUESTS}`);
    say(`  @NatsEndpoint    ${result.requestsPerSecond}`);
    say(`  Nest's transport ${result.requestsPerSecondNest}   (${result.throughputVsNest} times its throughput)`);
    say(`  bare nats        ${result.requestsPerSecondBare}   (${result.throughputVsBare} times its throughput)`);
    say('latency in microseconds, one at a time, median');
    say(
      `  @NatsEndpoint ${result.latencyMicros}   Nest's ${result.latencyMicrosNest}   bare ${result.latencyMicrosBare}`,
    );
    if (json) say(JSON.stringify(result));
  } finally {
    await pool.end();
  }
}

async function measure<K extends string>(contenders: Readonly<Record<K, Contender>>) {
  const names = Object.keys(contenders) as K[];
  const samples = new Map<K, { throughput: number[]; latency: number[] }>(
    names.map((name) => [name, { throughput: [], latency: [] }]),
  );
  // In turn, so that what the machine does besides hits all; the first round warms up.
  for (let turn = 0; turn <= ROUNDS; turn += 1) {
    for (const name of names) {
      const throughput = await throughputOf(contenders[name]);
      const latency = await latencyOf(contenders[name]);
      if (turn === 0) continue;
      samples.get(name)?.throughput.push(throughput);
      samples.get(name)?.latency.push(latency);
    }
  }
  return Object.fromEntries(
    [...samples].map(([name, { throughput, latency }]) => [
      name,
      { throughput: median(throughput), latency: median(latency) },
    ]),
  ) as Record<K, { throughput: number; latency: number }>;
}

async function throughputOf({ call }: Contender): Promise<number> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < REQUESTS) {
      const number = (next += 1);
      const sum = await call(number, 1);
      if (sum !== number + 1) throw new Error(`${number} + 1 was answered with ${JSON.stringify(sum)}`);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return REQUESTS / ((performance.now() - began) / 1000);
}

async function latencyOf({ call }: Contender): Promise<number> {
  const micros: number[] = [];
  for (let count = 0; count < SINGLE_REQUESTS; count += 1) {
    const began = performance.now();
    await call(count, 1);
    micros.push((performance.now() - began) * 1000);
  }
  return median(micros);
}

async function ours(url: string): Promise<Contender> {
  @NatsGroup('ours')
  @NatsService({ name: 'ours', version: '1.0.0' })
  class Adder {
    @NatsEndpoint() add({ a, b }: { a: number; b: number }): number {
      return a + b;
    }
  }
  @Module({ imports: [NatsServicesModule.forRoot({ connection: { servers: url } })], providers: [Adder] })
  class AppModule {}
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  const client = new NatsClient({ servers: url });
  await client.connect();
  const caller = client.serviceClient('ours');
  return {
    call: (a, b) => caller.call('add', { a, b }),
    close: () => Promise.all([client.close(), app.close()]),
  };
}

async function nest(url: string): Promise<Contender> {
  // Not installed with the library: `npm install --no-save @nestjs/microservices`.
  const name: string = '@nestjs/microservices';
  const { Transport, ClientProxyFactory, MessagePattern, Payload } = (await import(name)) as Microservices;
  @Controller()
  class Adder {
    add({ a, b }: { a: number; b: number }): number {
      return a + b;
    }
  }
  Payload()(Adder.prototype, 'add', 0);
  const descriptor = Object.getOwnPropertyDescriptor(Adder.prototype, 'add') ?? {};
  MessagePattern('nest.add')(Adder.prototype, 'add', descriptor);
  @Module({ controllers: [Adder] })
  class AppModule {}
  const options = { transport: Transport.NATS, options: { servers: [url], queue: 'q' } };
  const factory = NestFactory as unknown as {
    createMicroservice(
      module: Type,
      options: object,
    ): Promise<INestApplicationContext & { listen(): Promise<unknown> }>;
  };
  const app = await factory.createMicroservice(AppModule, { ...options, logger: false });
  await app.listen();
  const proxy = ClientProxyFactory.create(options);
  await proxy.connect();
  return {
    call: (a, b) => lastValueFrom(proxy.send('nest.add', { a, b })),
    close: async () => {
      await proxy.close();
      await app.close();
    },
  };
}

async function bare(url: string): Promise<Contender> {
  // As ours: without a stack trace for every request, which would cost more than the request.
  const options = { servers: url, noAsyncTraces: true };
  const [offering, calling] = [await connect(options), await connect(options)];
  offering.subscribe('bare.add', {
    queue: 'q',
    callback: (_error, message) => {
      const { a, b } = message.json<{ a: number; b: number }>();
      message.respond(JSON.stringify(a + b));
    },
  });
  await offering.flush();
  return {
    call: async (a, b) => (await calling.request('bare.add', JSON.stringify({ a, b }), { timeout: 5000 })).json(),
    close: () => Promise.all([offering.close(), calling.close()]),
  };
}
