import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Controller, Inject, Injectable, Module, type INestApplication, type INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClientsModule,
  ClientTCP,
  Ctx,
  EventPattern,
  MessagePattern,
  Payload,
  RpcException,
  Transport,
  type ClientProxy,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { circuitBreaker, ConsecutiveBreaker, handleAll, retry, timeout, TimeoutStrategy, wrap } from 'cockatiel';
import { firstValueFrom, lastValueFrom, of, toArray } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import { DiscoveryClient, DiscoveryModule, type DiscoveryModuleOptions } from '../../../lib/index.js';
import {
  DiscoverableClientProxy,
  MessageDiscovery,
  type MessageTargetOptions,
} from '../../../lib/integrations/microservices/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { serving } from '../plain-servers.js';
import { createApp } from '../support.js';

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** An instance of STOCK, and what it was asked. */
interface Stock {
  readonly asked: unknown[];
  readonly port: number;
  /** Answers in another way from now on. */
  answers(answer: (data: unknown) => unknown): void;
  /** Ends it with its connections. */
  kill(): void;
  readonly app: INestMicroservice;
}

async function stock(name: string, first: (data: unknown) => unknown = () => name): Promise<Stock> {
  const asked: unknown[] = [];
  let answer = first;
  @Controller()
  class Messages {
    @MessagePattern('quote')
    quote(@Payload() data: unknown): unknown {
      asked.push(data);
      return answer(data);
    }

    @MessagePattern({ cmd: 'sum' })
    sum(@Payload() data: unknown): unknown {
      asked.push(data);
      return answer(data);
    }

    @MessagePattern('stream')
    stream() {
      return of(`${name} 1`, `${name} 2`, `${name} 3`);
    }

    @MessagePattern('packet')
    packet(@Ctx() context: { getArgs(): readonly unknown[] }): unknown {
      return context.getArgs()[2] ?? 'none';
    }

    @EventPattern('sold')
    sold(@Payload() data: unknown): void {
      asked.push(data);
      answer(data);
    }
  }
  @Module({ controllers: [Messages] })
  class StockModule {}
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(StockModule, {
    logger: false,
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
  });
  await app.listen();
  closing.push(() => app.close());
  const server = app.unwrap<Server>();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  return {
    asked,
    port: (server.address() as AddressInfo).port,
    answers: (other) => {
      answer = other;
    },
    kill: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
    app,
  };
}

interface Caller {
  readonly app: INestApplication;
  readonly client: ClientProxy;
  quote(data?: unknown): Promise<unknown>;
}

async function caller(
  registry: InMemoryRegistry,
  options: MessageTargetOptions = {},
  module: DiscoveryModuleOptions = {},
): Promise<Caller> {
  const backend = registry.backend();
  const app = await createApp(DiscoveryModule.forRoot({ registry: backend, config: backend, ...module }));
  await app.init();
  const target = await app.get(MessageDiscovery).target('STOCK', options);
  const client = new target.customClass(target.options) as ClientProxy;
  closing.push(() => client.close());
  return { app, client, quote: (data: unknown = {}) => firstValueFrom(client.send('quote', data)) };
}

async function counts(call: () => Promise<unknown>, times: number): Promise<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (let n = 0; n < times; n += 1) {
    const name = await call().then(String, (error: { code?: string; message?: string }) => `failed ${error.code}`);
    counted[name] = (counted[name] ?? 0) + 1;
  }
  return counted;
}

const never = (): Promise<never> => new Promise(() => {});

describe('a message client by the name of a service', () => {
  test('gets its messages and events balanced among the instances', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([stock('one'), stock('two')]);
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    registry.addInstance('STOCK', { port: 1, metadata: { tcp_port: String(two.port) } });
    const { client, quote } = await caller(registry);
    expect(await counts(quote, 100)).toEqual({ one: 50, two: 50 });
    one.asked.length = 0;
    two.asked.length = 0;
    for (let n = 0; n < 10; n += 1) await lastValueFrom(client.emit('sold', { n }), { defaultValue: undefined });
    await expect.poll(() => one.asked.length + two.asked.length).toBe(10);
    expect(one.asked).toHaveLength(5);
    // Sent whether anybody listens or not.
    client.emit('sold', { n: 10 });
    await expect.poll(() => one.asked.length + two.asked.length).toBe(11);
    expect(await firstValueFrom(client.send('stream', {}).pipe(toArray()))).toHaveLength(3);
    expect(await firstValueFrom(client.send({ cmd: 'sum' }, 1))).toMatch(/one|two/);
  });

  test('as a module of Nest and by its decorator, closed with the app', async () => {
    const registry = new InMemoryRegistry();
    const one = await stock('one');
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    @Injectable()
    class Consumer {
      constructor(
        @Inject('STOCK') readonly byModule: ClientProxy,
        @DiscoverableClientProxy('STOCK') readonly byName: ClientProxy,
        @DiscoverableClientProxy('STOCK') readonly same: ClientProxy,
        @DiscoverableClientProxy('STOCK', { timeoutMs: 1 }) readonly other: ClientProxy,
      ) {}
    }
    const backend = registry.backend();
    @Module({
      imports: [
        ClientsModule.registerAsync([
          {
            name: 'STOCK',
            inject: [MessageDiscovery],
            useFactory: (messages: MessageDiscovery) => messages.target('STOCK'),
          },
        ]),
        DiscoveryModule.forRoot({ registry: backend, config: backend }),
      ],
      providers: [Consumer],
    })
    class AppModule {}
    const app = await createApp(AppModule);
    await app.init();
    const { byModule, byName, same, other } = app.get(Consumer);
    expect(same).toBe(byName);
    expect(other).not.toBe(byName);
    // What injects a client opens no watch.
    expect(registry.stats.openWatches).toBe(0);
    await byModule.connect();
    for (const client of [byModule, byName]) expect(await firstValueFrom(client.send('quote', {}))).toBe('one');
    expect(byName.unwrap<Socket[]>()).toHaveLength(1);
    const [socket] = byName.unwrap<Socket[]>();
    await app.close();
    await expect.poll(() => socket?.destroyed).toBe(true);
    expect(registry.stats.openWatches).toBe(0);
    await expect(firstValueFrom(byName.send('quote', {}))).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    await expect(lastValueFrom(byName.emit('sold', {}))).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
  });

  test('uses a new instance as soon as the registry says so, and a removed one no more', async () => {
    const registry = new InMemoryRegistry();
    let answer = (_text: string): void => {};
    const one = await stock('one', () => new Promise((resolve) => (answer = resolve)));
    const two = await stock('two');
    const first = registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    const { app, client, quote } = await caller(registry);
    const slow = quote();
    await expect.poll(() => one.asked.length).toBe(1);
    const [socket] = client.unwrap<Socket[]>();
    registry.addInstance('STOCK', { port: two.port, scheme: 'tcp' });
    registry.removeInstance('STOCK', first.id);
    await expect.poll(() => app.get(DiscoveryClient).getInstances('STOCK')).toMatchObject([{ port: two.port }]);
    expect(await counts(quote, 20)).toEqual({ two: 20 });
    expect(one.asked).toHaveLength(1);
    // What is under way is finished, and its connection closed then.
    expect(socket?.destroyed).toBe(false);
    answer('finished');
    expect(await slow).toBe('finished');
    await expect.poll(() => socket?.destroyed).toBe(true);
  });
});

describe('failures', () => {
  test('a refused connection goes to the next instance, whatever the pattern', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([stock('one'), stock('two')]);
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    registry.addInstance('STOCK', { port: two.port, scheme: 'tcp' });
    one.kill();
    const { client, quote } = await caller(registry, { ejection: false });
    expect(await counts(quote, 20)).toEqual({ two: 20 });
    two.asked.length = 0;
    for (let n = 0; n < 10; n += 1) await lastValueFrom(client.emit('sold', { n }), { defaultValue: undefined });
    await expect.poll(() => two.asked.length).toBe(10);
    two.kill();
    await expect
      .poll(() => quote().catch((error: Error) => error.message))
      .toMatch(/all of 2 instances of STOCK failed/);
    await expect(quote()).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      attempts: [{ code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }],
    });
    await expect(lastValueFrom(client.emit('sold', {}))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    // Nobody listens, and nothing of it ends the process.
    client.emit('sold', {});
  });

  test('a connection that breaks is tried elsewhere for patterns that were declared idempotent, and for no other', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([stock('one'), stock('two')]);
    one.answers(() => {
      one.kill();
      return never();
    });
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    const { client, quote, app } = await caller(registry, { idempotent: [{ cmd: 'sum' }] });
    await app.get(DiscoveryClient).getInstances('STOCK');
    const asking = quote();
    await expect(asking).rejects.toMatchObject({
      code: 'ECONNRESET',
      message: expect.stringContaining('Connection closed') as unknown,
    });
    expect(one.asked).toHaveLength(1);
    expect(two.asked).toHaveLength(0);

    const three = await stock('three');
    three.answers(() => {
      three.kill();
      return never();
    });
    registry.setInstances('STOCK', [
      { port: three.port, scheme: 'tcp' },
      { port: two.port, scheme: 'tcp' },
    ]);
    await expect.poll(() => app.get(DiscoveryClient).getInstances('STOCK')).toHaveLength(2);
    const answers = await Promise.all([1, 2].map((n) => firstValueFrom(client.send({ cmd: 'sum' }, n))));
    expect(answers).toEqual(['two', 'two']);
    expect(three.asked).toHaveLength(1);
    expect(two.asked).toHaveLength(2);
  });

  test('one that stalls is left out: no answer within the time-out', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([stock('one', never), stock('two')]);
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    registry.addInstance('STOCK', { port: two.port, scheme: 'tcp' });
    const { quote } = await caller(registry, {
      timeoutMs: 50,
      ejection: { consecutiveFailures: 2, baseMs: 1e6, maxMs: 1e6 },
    });
    const counted = await counts(quote, 20);
    expect(counted).toEqual({ 'failed ETIMEDOUT': 2, two: 18 });
    expect(await counts(quote, 20)).toEqual({ two: 20 });
  });

  test('an address that nobody answers at goes to the next instance, as nothing was sent', async () => {
    const registry = new InMemoryRegistry();
    const two = await stock('two');
    registry.addInstance('STOCK', { port: two.port, scheme: 'tcp' });
    registry.addInstance('STOCK', { host: '192.0.2.1', port: 9, scheme: 'tcp' });
    const { quote } = await caller(registry, { timeoutMs: 200, ejection: false });
    expect(await counts(quote, 4)).toEqual({ two: 4 });
  });

  test('errors of the service are thrown as they come, and tried nowhere else', async () => {
    const registry = new InMemoryRegistry();
    const one = await stock('one');
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    registry.addInstance('STOCK', { port: (await stock('two')).port, scheme: 'tcp', status: 'DOWN' });
    const { client, quote } = await caller(registry, { idempotent: true });
    for (const thrown of [{ code: 'ECONNREFUSED', syscall: 'connect' }, 'a text', { response: { status: 503 } }]) {
      one.asked.length = 0;
      one.answers(() => {
        throw new RpcException(thrown);
      });
      const expected = typeof thrown === 'string' ? { status: 'error', message: thrown } : thrown;
      await expect(quote()).rejects.toEqual(expected);
      expect(one.asked).toHaveLength(1);
    }
    one.answers(() => {
      throw new Error('a secret');
    });
    await expect(quote()).rejects.toEqual({ status: 'error', message: 'Internal server error' });
    await expect(firstValueFrom(client.send('nothing', {}))).rejects.toMatch(/no matching message handler/);
    await expect(firstValueFrom(client.send(null, {}))).rejects.toThrow();
    await expect(lastValueFrom(client.emit('sold', undefined))).rejects.toThrow();
  });

  test.each(['12x#nonsense', '5#{"id"', `${'9'.repeat(30)}#x`])(
    'garbage in the place of an answer: %s',
    async (garbage) => {
      const registry = new InMemoryRegistry();
      const two = await stock('two');
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.on('data', () => socket.end(garbage));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closing.push(() => server.close());
      registry.addInstance('STOCK', { port: (server.address() as AddressInfo).port });
      registry.addInstance('STOCK', { port: two.port, scheme: 'tcp' });
      const { quote } = await caller(registry, { idempotent: true });
      expect(await counts(quote, 10)).toEqual({ two: 10 });
    },
  );

  test('a port that speaks HTTP', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: await serving((_request, response) => response.end('http')) });
    const { quote } = await caller(registry);
    await expect(quote()).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  test.each(['0', 'abc', '99999'])('metadata that is no port (%s) is passed over, and said', async (text) => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1, metadata: { tcp_port: text } });
    const { quote } = await caller(registry);
    await expect(quote()).rejects.toMatchObject({
      message: expect.stringContaining(`its tcp_port is no port: '${text}'`) as unknown,
    });
    const one = await stock('one');
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    await expect.poll(() => quote().catch(() => 'failed')).toBe('one');
    expect(await counts(quote, 6)).toEqual({ one: 6 });
  });

  test('nobody to call: says why', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1, scheme: 'grpc' });
    const { quote, app } = await caller(registry);
    await expect(quote()).rejects.toMatchObject({
      code: 'NO_INSTANCE',
      message: expect.stringContaining('speaks grpc, not tcp or tls or http or https') as unknown,
    });
    const messages = app.get(MessageDiscovery);
    await expect(messages.target('STOCK', { idempotent: 'quote' as never })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'idempotent',
    });
    await expect(messages.target('../up')).rejects.toMatchObject({ code: 'INVALID_NAME' });
  });

  test('a call that nobody waits for any more is forgotten, and says nothing of the instance', async () => {
    const registry = new InMemoryRegistry();
    const one = await stock('one', never);
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    const { client, quote } = await caller(registry, { ejection: { consecutiveFailures: 1, baseMs: 1e6, maxMs: 1e6 } });
    for (let n = 1; n <= 3; n += 1) {
      const subscription = client.send('quote', n).subscribe();
      await expect.poll(() => one.asked.length).toBe(n);
      subscription.unsubscribe();
    }
    one.answers(() => 'one');
    registry.addInstance('STOCK', { port: (await stock('two')).port, scheme: 'tcp' });
    await expect.poll(async () => (await counts(quote, 10))['two']).toBe(5);
    expect(await counts(quote, 10)).toEqual({ one: 5, two: 5 });
  });
});

describe('around each message stands', () => {
  const held = () => {
    const waiting: (() => void)[] = [];
    return { waiting, answer: () => new Promise<string>((resolve) => waiting.push(() => resolve('held'))) };
  };

  test('a bulkhead: one has a place, one waits for it, and more are refused', async () => {
    const registry = new InMemoryRegistry();
    const { waiting, answer } = held();
    const one = await stock('one', answer);
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    const { client, quote } = await caller(registry, { bulkhead: { maxCalls: 1, maxQueue: 1 } });
    const first = quote();
    await expect.poll(() => waiting.length).toBe(1);
    const given = client.send('quote', {}).subscribe();
    await expect(quote()).rejects.toMatchObject({ code: 'BULKHEAD_FULL' });
    // Who gives up while he waits leaves his place to others.
    given.unsubscribe();
    await new Promise((resolve) => setImmediate(resolve));
    const second = quote();
    waiting.shift()?.();
    expect(await first).toBe('held');
    await expect.poll(() => waiting.length).toBe(1);
    waiting.shift()?.();
    expect(await second).toBe('held');
    expect(one.asked).toHaveLength(2);
  });

  test('a policy, which counts whole calls, refuses without one, and may repeat what was not answered', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: 1, scheme: 'tcp' });
    const policy = circuitBreaker(handleAll, { halfOpenAfter: 600_000, breaker: new ConsecutiveBreaker(2) });
    const broken = await caller(registry, { policy });
    for (let n = 0; n < 2; n += 1) await expect(broken.quote()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(broken.quote()).rejects.toThrow('Execution prevented because the circuit breaker is open');

    let calls = 0;
    const two = await stock('two', () => {
      calls += 1;
      return calls < 2 ? never() : 'answered';
    });
    registry.setInstances('STOCK', [{ port: two.port, scheme: 'tcp' }]);
    const repeated = wrap(retry(handleAll, { maxAttempts: 3 }), timeout(200, TimeoutStrategy.Aggressive));
    const { quote } = await caller(registry, { policy: repeated });
    expect(await quote()).toBe('answered');
    expect(calls).toBe(2);
  });
});

test('a client of a transport of one’s own is made for each instance, whatever it is registered as', async () => {
  const registry = new InMemoryRegistry();
  const [one, two] = await Promise.all([stock('one'), stock('two')]);
  registry.addInstance('STOCK', { port: one.port, scheme: 'own', metadata: { name: 'first' } });
  registry.addInstance('STOCK', { port: two.port, scheme: 'own', metadata: { name: 'second' } });
  const made: unknown[] = [];
  const closed: unknown[] = [];
  const { client, quote } = await caller(registry, {
    client: ({ host, port, instance }) => {
      const { name } = instance.metadata;
      made.push(name);
      const own = new ClientTCP({ host, port });
      const { close } = own;
      own.close = () => {
        closed.push(name);
        close.call(own);
      };
      return own;
    },
  });
  expect(await counts(quote, 10)).toEqual({ one: 5, two: 5 });
  expect(made.toSorted()).toEqual(['first', 'second']);
  client.close();
  expect(closed.toSorted()).toEqual(['first', 'second']);
});

describe('what is routed', () => {
  test('the own zone is preferred, and left when it is down', async () => {
    const registry = new InMemoryRegistry();
    const [near, far] = await Promise.all([stock('near'), stock('far')]);
    registry.addInstance('STOCK', { port: near.port, zone: 'a', scheme: 'tcp' });
    registry.addInstance('STOCK', { port: far.port, zone: 'b', scheme: 'tcp' });
    const { quote } = await caller(registry, { idempotent: true }, { zone: 'a' });
    expect(await counts(quote, 20)).toEqual({ near: 20 });
    near.kill();
    expect(await counts(quote, 20)).toEqual({ far: 20 });
  });

  test('a key stays with its instance', async () => {
    const registry = new InMemoryRegistry();
    for (const name of ['one', 'two', 'three']) {
      registry.addInstance('STOCK', { port: (await stock(name)).port, scheme: 'tcp' });
    }
    const { quote } = await caller(registry, { balancing: 'consistent-hash', keyOf: (_pattern, data) => String(data) });
    for (const user of ['alice', 'bob', 'carol'])
      expect(Object.keys(await counts(() => quote(user), 10))).toHaveLength(1);
    expect(Object.keys(await counts(() => quote(Math.random()), 60))).toHaveLength(3);
  });

  test('messages carry nothing when there is nothing to carry', async () => {
    const registry = new InMemoryRegistry();
    const one = await stock('one');
    registry.addInstance('STOCK', { port: one.port, scheme: 'tcp' });
    const { client } = await caller(registry);
    expect(await firstValueFrom(client.send('packet', {}))).toBe('none');
  });
});
