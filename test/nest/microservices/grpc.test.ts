import { Inject, Injectable, Module, type INestApplication } from '@nestjs/common';
import { credentials, Metadata, ServerCredentials, status, type Client, type ServiceError } from '@grpc/grpc-js';
import { ClientsModule, Transport, type ClientGrpc } from '@nestjs/microservices';
import { circuitBreaker, ConsecutiveBreaker, handleAll, retry, timeout, TimeoutStrategy } from 'cockatiel';
import { firstValueFrom, of, toArray, type Observable } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import { DiscoveryClient, DiscoveryModule, type DiscoveryModuleOptions } from '../../../lib/index.js';
import {
  GrpcDiscovery,
  GrpcServiceClient,
  type GrpcTargetOptions,
} from '../../../lib/integrations/microservices/index.js';
import { DiscoveryRuntime } from '../../../lib/nest/discovery-runtime.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { certificate } from '../../unit/http/transport/certificate.js';
import { serving } from '../plain-servers.js';
import { createApp } from '../support.js';
import { failing, greeterClass, GreeterServer, isBefore, PROTO, type Text } from './greeters.js';

const clients: Client[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

interface Caller {
  hello(metadata?: Metadata, options?: object): Promise<string>;
  read(): Promise<string>;
  readonly client: Client;
  readonly app: INestApplication;
}

/** An app that calls GREETER by grpc-js's own client. */
async function caller(
  registry: InMemoryRegistry,
  options: GrpcTargetOptions = {},
  module: DiscoveryModuleOptions = {},
): Promise<Caller> {
  const backend = registry.backend();
  const app = await createApp(DiscoveryModule.forRoot({ registry: backend, config: backend, ...module }));
  await app.init();
  const { url, channelOptions } = await app
    .get(GrpcDiscovery)
    .target('GREETER', { definitions: [greeterClass().service], ...options });
  const client = new (greeterClass())(url, credentials.createInsecure(), channelOptions);
  clients.push(client);
  const call =
    (method: string) =>
    (metadata = new Metadata(), callOptions: object = {}): Promise<string> =>
      new Promise((resolve, reject) => {
        const started = client as unknown as Record<string, (...args: unknown[]) => unknown>;
        started[method]?.({}, metadata, callOptions, (error: ServiceError | null, answer?: Text) =>
          error === null ? resolve(answer?.text ?? '') : reject(error),
        );
      });
  return { hello: call('Hello'), read: call('Read'), client, app };
}

async function counts(call: () => Promise<string>, times: number): Promise<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (let n = 0; n < times; n += 1) {
    const name = await call().catch((error: ServiceError) => `failed ${error.code}`);
    counted[name] = (counted[name] ?? 0) + 1;
  }
  return counted;
}

describe('around each gRPC call stands', () => {
  const held = () => {
    const waiting: (() => void)[] = [];
    return { waiting, answer: () => new Promise<string>((resolve) => waiting.push(() => resolve('held'))) };
  };
  const failed = (asked: Promise<string>) => asked.catch(({ code, details }: ServiceError) => ({ code, details }));

  test('a bulkhead: one has a place, one waits for it, and more are refused', async () => {
    const registry = new InMemoryRegistry();
    const server = await GreeterServer.start('one');
    const { waiting, answer } = held();
    server.answers(answer);
    registry.addInstance('GREETER', { port: server.port, scheme: 'grpc' });
    const { hello, client } = await caller(registry, { bulkhead: { maxCalls: 1, maxQueue: 1 } });
    const first = hello();
    await expect.poll(() => waiting.length).toBe(1);
    // Who gives up while he waits leaves his place to others, whether by his own word or his deadline's.
    const given = (client as unknown as Record<string, (...args: unknown[]) => { cancel(): void }>)['Hello'];
    const code = new Promise<number>((resolve) => {
      given?.call(client, {}, (error: ServiceError) => resolve(error.code)).cancel();
    });
    expect(await code).toBe(status.CANCELLED);
    expect(await failed(hello(undefined, { deadline: Date.now() + 50 }))).toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    const second = hello();
    expect(await failed(hello())).toEqual({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('GREETER gets no more than 1 calls at a time'),
    });
    waiting.shift()?.();
    expect(await first).toBe('held');
    await expect.poll(() => waiting.length).toBe(1);
    waiting.shift()?.();
    expect(await second).toBe('held');
    expect(server.calls).toBe(2);
  });

  test('a policy, which counts whole calls, and refuses without one', async () => {
    const registry = new InMemoryRegistry();
    const servers = [await GreeterServer.start('one'), await GreeterServer.start('two')];
    for (const server of servers) {
      server.answers(failing(status.UNAVAILABLE));
      registry.addInstance('GREETER', { port: server.port, scheme: 'grpc' });
    }
    const calls = () => servers.reduce((sum, server) => sum + server.calls, 0);
    const policy = circuitBreaker(handleAll, { halfOpenAfter: 600_000, breaker: new ConsecutiveBreaker(2) });
    const { read } = await caller(registry, { policy, maxAttempts: 2 }, { http: { ejection: false } });
    for (let n = 0; n < 2; n += 1) expect(await failed(read())).toMatchObject({ code: status.UNAVAILABLE });
    // Its tries are within the call that the policy runs.
    expect(calls()).toBe(4);
    expect(await failed(read())).toMatchObject({
      code: status.UNAVAILABLE,
      details: 'Execution prevented because the circuit breaker is open',
    });
    expect(calls()).toBe(4);
  });

  test('a policy that would repeat a call: it ends as it ended', async () => {
    const registry = new InMemoryRegistry();
    const server = await GreeterServer.start('one');
    server.answers(failing(status.NOT_FOUND));
    registry.addInstance('GREETER', { port: server.port, scheme: 'grpc' });
    const { hello } = await caller(registry, { policy: retry(handleAll, { maxAttempts: 2 }) });
    expect(await failed(hello())).toMatchObject({ code: status.NOT_FOUND });
    expect(server.calls).toBe(1);
  });

  test('a time-out of a policy', async () => {
    const registry = new InMemoryRegistry();
    const server = await GreeterServer.start('one');
    const { answer } = held();
    server.answers(answer);
    registry.addInstance('GREETER', { port: server.port, scheme: 'grpc' });
    const { hello, app } = await caller(registry, { policy: timeout(200, TimeoutStrategy.Aggressive) });
    expect(await failed(hello())).toEqual({ code: status.CANCELLED, details: 'Operation timed out after 200ms' });
    const { balancers, views } = app.get(DiscoveryRuntime);
    const view = views.peek('GREETER');
    const route = view && balancers.peek(view)?.route({ balancing: 'round-robin', routing: {}, ejection: {} });
    expect(route?.candidates[0]?.pending).toBe(0);
  });
});

describe('a gRPC client by the name of a service', () => {
  test('gets its calls balanced among the instances', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    registry.addInstance('GREETER', { port: one.port });
    registry.addInstance('GREETER', { port: two.port, scheme: 'grpc' });
    const { hello } = await caller(registry);
    await hello();
    await expect.poll(async () => (await counts(hello, 10))['two']).toBe(5);
    expect(await counts(hello, 100)).toEqual({ one: 50, two: 50 });
  });

  test('uses a new instance as soon as the registry says so, and a removed one no more', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    const first = registry.addInstance('GREETER', { port: one.port });
    const { hello, app } = await caller(registry);
    expect(await counts(hello, 5)).toEqual({ one: 5 });
    registry.addInstance('GREETER', { port: two.port });
    await expect.poll(hello).toBe('two');
    registry.removeInstance('GREETER', first.id);
    await expect.poll(() => app.get(DiscoveryClient).getInstances('GREETER')).toMatchObject([{ port: two.port }]);
    const before = one.calls;
    expect(await counts(hello, 50)).toEqual({ two: 50 });
    expect(one.calls).toBe(before);
  });

  test('sends nothing of its own along', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    const { hello } = await caller(registry);
    const metadata = new Metadata();
    metadata.set('own', 'kept');
    await hello(metadata);
    expect(Object.keys(one.asked[0]?.metadata.getMap() ?? {}).sort()).toEqual(['own', 'user-agent']);
    expect(metadata.getMap()).toEqual({ own: 'kept' });
  });

  test.each(['gRPC_port', 'grpc.port'])('reads the port of %s', async (name) => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: 1, metadata: { [name]: String(one.port) } });
    const { hello } = await caller(registry);
    expect(await hello()).toBe('one');
  });
});

describe('failures', () => {
  test('one of two instances is killed: calls go to the other', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    registry.addInstance('GREETER', { port: one.port });
    registry.addInstance('GREETER', { port: two.port });
    const { read } = await caller(registry);
    await expect.poll(async () => (await counts(read, 10))['two']).toBe(5);
    one.kill();
    expect(await counts(read, 100)).toEqual({ two: 100 });
    await one.restart();
    await expect.poll(async () => (await counts(read, 10))['one']).toBe(5);
  });
  test('UNAVAILABLE goes to another instance for methods that may be called again', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([
      GreeterServer.start('one', failing(status.UNAVAILABLE)),
      GreeterServer.start('two'),
    ]);
    registry.addInstance('GREETER', { port: one.port });
    registry.addInstance('GREETER', { port: two.port });
    const { read, hello } = await caller(registry, { ejection: false });
    await expect.poll(async () => (await counts(hello, 10))['two']).toBe(5);
    const asked = one.calls;
    expect(await counts(read, 10)).toEqual({ two: 10 });
    // Each at most once, and elsewhere then.
    expect(one.calls - asked).toBeLessThanOrEqual(10);
    expect((await counts(hello, 10))['failed 14']).toBe(5);
  });

  test('one that answers UNAVAILABLE is left out, and so is one that answers too late', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([
      GreeterServer.start('one', failing(status.UNAVAILABLE)),
      GreeterServer.start('two'),
    ]);
    registry.addInstance('GREETER', { port: one.port });
    registry.addInstance('GREETER', { port: two.port });
    const { hello } = await caller(registry, {
      timeoutMs: 100,
      ejection: { consecutiveFailures: 2, baseMs: 1e6, maxMs: 1e6 },
    });
    await expect.poll(() => counts(hello, 10)).toEqual({ two: 10 });
    expect(one.calls).toBe(2);

    one.answers(() => 'one');
    two.answers(() => new Promise(() => {}));
    const { hello: other } = await caller(registry, {
      timeoutMs: 100,
      ejection: { consecutiveFailures: 2, baseMs: 1e6, maxMs: 1e6 },
    });
    await expect.poll(() => counts(other, 10), { timeout: 30_000 }).toEqual({ one: 10 });
  });

  test('errors of the application count as answers unless it is asked otherwise', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one', failing(status.NOT_FOUND));
    registry.addInstance('GREETER', { port: one.port });
    const two = await GreeterServer.start('two');
    registry.addInstance('GREETER', { port: two.port });
    const { hello } = await caller(registry, { ejection: { consecutiveFailures: 2 } });
    await expect.poll(async () => (await counts(hello, 10))['two']).toBe(5);
    expect(await counts(hello, 20)).toEqual({ two: 10, 'failed 5': 10 });
  });

  // What a try ended with is told from 1.14 on.
  test.skipIf(isBefore('1.14.0'))('who asks to be left alone is', async () => {
    const registry = new InMemoryRegistry();
    const pause = new Metadata();
    pause.set('grpc-retry-pushback-ms', '1000000');
    const one = await GreeterServer.start('one', failing(status.UNAVAILABLE, pause));
    const two = await GreeterServer.start('two');
    registry.addInstance('GREETER', { port: one.port });
    registry.addInstance('GREETER', { port: two.port });
    const { hello } = await caller(registry);
    await expect.poll(() => hello().catch(() => 'failed')).toBe('failed');
    await expect.poll(() => counts(hello, 10)).toEqual({ two: 10 });
    expect(one.calls).toBe(1);
  });

  test('retries have a budget', async () => {
    const registry = new InMemoryRegistry();
    for (const name of ['one', 'two', 'three']) {
      const { port } = await GreeterServer.start(name, failing(status.UNAVAILABLE));
      registry.addInstance('GREETER', { port });
    }
    const { read } = await caller(registry, { ejection: false, retry: { budgetShare: 0, budgetPerSecond: 0 } });
    await expect(read()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining(
        `${isBefore('1.14.0') ? 'answered UNAVAILABLE' : 'as told'} - GREETER was tried at http://127.0.0.1:`,
      ) as unknown,
    });
  });

  test('nobody to call: says why', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('OTHER', { port: 1 });
    const { hello } = await caller(registry);
    await expect(hello()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('GREETER has no instance that may be called: none is registered') as unknown,
    });
    registry.addInstance('GREETER', { port: 1, status: 'DOWN' });
    await expect(hello()).rejects.toMatchObject({ details: expect.stringContaining('is DOWN') as unknown });
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    await expect.poll(() => hello().catch(() => 'failed')).toBe('one');
  });

  test('a registry that does not answer: says so, and is called when it does', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    const { hello } = await caller(registry, {}, { discovery: { firstSnapshotTimeoutMs: 50 } });
    registry.fail();
    await expect(hello()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining("the instances of GREETER aren't known yet") as unknown,
    });
    registry.recover();
    await expect.poll(() => hello().catch(() => 'failed')).toBe('one');
    // An outage empties nothing.
    registry.fail();
    expect(await counts(hello, 5)).toEqual({ one: 5 });
  });

  test('a port that speaks no gRPC: says what is registered', async () => {
    const registry = new InMemoryRegistry();
    const port = await serving((_request, response) => response.end('http'));
    registry.addInstance('GREETER', { port });
    const { hello } = await caller(registry);
    // It takes a port that accepts connections for one that speaks gRPC.
    if (isBefore('1.13.0')) {
      await expect(hello()).rejects.toMatchObject({ code: status.INTERNAL, details: expect.any(String) as unknown });
      return;
    }
    await expect(hello()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(
        /no connection to the only instance of GREETER \(http:.*registered as http and names no gRPC_port, so its own port was taken for gRPC's/,
      ) as unknown,
    });
  });

  test.each(['0', 'abc', '99999', '-1', '80 81'])('metadata that is no port (%s): says so', async (text) => {
    const registry = new InMemoryRegistry();
    registry.addInstance('GREETER', { port: 1, metadata: { gRPC_port: text } });
    const { hello } = await caller(registry);
    await expect(hello()).rejects.toMatchObject({
      details: expect.stringContaining(`its gRPC_port is no port: '${text}'`) as unknown,
    });
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    await expect.poll(() => hello().catch(() => 'failed')).toBe('one');
    expect(await counts(hello, 10)).toEqual({ one: 10 });
  });

  test('instances that speak another protocol are not called', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: 1, scheme: 'tcp' });
    const { hello } = await caller(registry);
    await expect(hello()).rejects.toMatchObject({ details: expect.stringContaining('speaks tcp') as unknown });
    registry.addInstance('GREETER', { port: one.port, scheme: 'grpc' });
    await expect.poll(() => hello().catch(() => 'failed')).toBe('one');
    expect(await counts(hello, 10)).toEqual({ one: 10 });
  });

  test('refused connections: names them all', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    registry.addInstance('GREETER', { port: one.port, scheme: 'grpc' });
    registry.addInstance('GREETER', { port: two.port, scheme: 'grpc' });
    one.kill();
    two.kill();
    const { hello } = await caller(registry);
    await expect(hello()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(
        new RegExp(`all of 2 instances of GREETER .*${one.port}: .*ECONNREFUSED.*${two.port}: .*ECONNREFUSED`, 's'),
      ) as unknown,
    });
  });
});

describe('what grpc-js would get wrong', () => {
  test('round_robin is told of the instances when they change, and not whenever it asks', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    registry.addInstance('GREETER', { port: one.port });
    const { hello } = await caller(registry, { loadBalancing: { round_robin: {} } });
    expect(await counts(hello, 5)).toEqual({ one: 5 });
    // It builds all of its connections anew, is not ready for a moment, and asks for the addresses then: for ever, if it got them.
    registry.addInstance('GREETER', { port: two.port });
    await expect.poll(async () => (await counts(hello, 10))['two']).toBe(5);
    const { reads } = registry.stats;
    expect(await counts(hello, 50)).toEqual({ one: 25, two: 25 });
    expect(registry.stats.reads).toBe(reads);
    expect(Object.keys(one.asked.at(-1)?.metadata.getMap() ?? {})).toEqual(['user-agent']);
  });

  test('connections that break make the registry be asked again, and not each time', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    const { hello } = await caller(registry);
    await hello();
    const { reads } = registry.stats;
    one.kill();
    for (let n = 0; n < 5; n += 1) await hello().catch(() => {});
    await expect.poll(() => registry.stats.reads).toBe(reads + 1);
    await one.restart();
    await expect.poll(() => hello().catch(() => 'failed')).toBe('one');
    expect(registry.stats.reads).toBe(reads + 1);
  });

  test.each([
    [{ round_robbin: {} }, 'it knows no policy round_robbin'],
    [{}, 'it must have one policy'],
    [{ outlier_detection: { interval: '1s', childPolicy: [{ round_robin: {} }] } }, 'interval'],
  ])('a policy that it would leave out without a word is refused: %j', async (loadBalancing, reason) => {
    const backend = new InMemoryRegistry().backend();
    const app = await createApp(DiscoveryModule.forRoot({ registry: backend, config: backend }));
    await app.init();
    await expect(app.get(GrpcDiscovery).target('GREETER', { loadBalancing })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'loadBalancing',
      message: expect.stringContaining(reason) as unknown,
    });
  });

  test('a proxy of the environment is not called in the place of the service', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    process.env['grpc_proxy'] = 'http://127.0.0.1:1';
    try {
      const { hello } = await caller(registry);
      expect(await hello()).toBe('one');
    } finally {
      delete process.env['grpc_proxy'];
    }
  });

  test('two apps of a process share neither instances nor connections', async () => {
    const [here, there] = [new InMemoryRegistry(), new InMemoryRegistry()];
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    here.addInstance('GREETER', { port: one.port });
    there.addInstance('GREETER', { port: two.port });
    const [first, second] = [await caller(here), await caller(there)];
    expect(await counts(first.hello, 10)).toEqual({ one: 10 });
    expect(await counts(second.hello, 10)).toEqual({ two: 10 });
    there.addInstance('GREETER', { port: one.port });
    await expect.poll(async () => (await counts(second.hello, 10))['one']).toBe(5);
    expect(one.peers.size).toBe(2);
    const more = await first.app.get(GrpcDiscovery).target('GREETER');
    const client = new (greeterClass())(more.url, credentials.createInsecure(), more.channelOptions);
    clients.push(client);
    const call = client as unknown as Record<string, (question: object, done: () => void) => void>;
    await new Promise<void>((done) => call['Hello']?.({}, done));
    // Clients of one app share them.
    expect(one.peers.size).toBe(2);
    first.client.close();
    await first.app.close();
    expect(await counts(second.hello, 10)).toEqual({ one: 5, two: 5 });
  });

  test('a client of another copy of grpc-js, or of another url, is told apart', async () => {
    const registry = new InMemoryRegistry();
    const { app } = await caller(registry);
    const { channelOptions } = await app.get(GrpcDiscovery).target('GREETER');
    const Greeter = greeterClass();
    expect(() => new Greeter('127.0.0.1:1', credentials.createInsecure(), channelOptions)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: 'url' }),
    );
    // What another copy makes is no instance of this one's class.
    const others = Object.create(null) as never;
    expect(() => new Greeter('discovery:GREETER', others, channelOptions)).toThrow(
      expect.objectContaining({
        code: 'PEER_UNUSABLE',
        message: expect.stringContaining('another copy of @grpc/grpc-js') as unknown,
      }),
    );
    expect(() => new (greeterClass())('discovery:GREETER', credentials.createInsecure())).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: 'channelOptions' }),
    );
  });

  test.each(['folder/GREETER', 'Grüße an alle', 'greeter:v1', 'x'.repeat(255)])(
    'a service may be called %s',
    async (name) => {
      const registry = new InMemoryRegistry();
      const one = await GreeterServer.start('one');
      registry.addInstance(name, { port: one.port });
      const { app } = await caller(registry);
      const { url, channelOptions } = await app.get(GrpcDiscovery).target(name);
      const client = new (greeterClass())(url, credentials.createInsecure(), channelOptions);
      clients.push(client);
      const call = client as unknown as Record<string, (...args: unknown[]) => void>;
      const answer = await new Promise((resolve) =>
        call['Hello']?.({}, (error: ServiceError | null, text?: Text) => resolve(error ?? text)),
      );
      expect(answer).toEqual({ text: 'one' });
    },
  );

  test('a channel that was idle begins again', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    const { hello, client } = await caller(registry, { channelOptions: { 'grpc.client_idle_timeout_ms': 1000 } });
    expect(await hello()).toBe('one');
    await expect.poll(() => client.getChannel().getConnectivityState(false)).toBe(0);
    expect(await hello()).toBe('one');
  });

  test.each([
    [{ timeoutMs: -1 }, 'timeoutMs'],
    [{ idempotent: 'Hello' }, 'idempotent'],
    [{ portMetadata: [] }, 'portMetadata'],
    [{ hedging: { delayMs: 1 } }, 'hedging'],
    [{ grpc: 'grpc' }, 'grpc'],
  ])('options that are wrong are named: %j', async (options, field) => {
    const { app } = await caller(new InMemoryRegistry());
    await expect(app.get(GrpcDiscovery).target('GREETER', options as GrpcTargetOptions)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field,
    });
  });

  test('a copy that is too old says so', async () => {
    const { app } = await caller(new InMemoryRegistry());
    await expect(app.get(GrpcDiscovery).target('GREETER', { grpc: { experimental: {} } })).rejects.toMatchObject({
      code: 'PEER_UNUSABLE',
      message: expect.stringContaining('needs @grpc/grpc-js 1.12 or newer') as unknown,
    });
  });
});

describe('TLS', () => {
  const own = certificate();

  test.runIf(own !== undefined)('the certificate is that of the host, or of the name that is given', async () => {
    if (own === undefined) return;
    const { key, cert } = own;
    const registry = new InMemoryRegistry();
    const secure = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: cert }]);
    const one = await GreeterServer.start('one', undefined, secure);
    const instance = registry.addInstance('GREETER', { port: one.port, host: 'localhost' });
    const { app } = await caller(registry);
    const ask = async (options: GrpcTargetOptions): Promise<unknown> => {
      const { url, channelOptions } = await app.get(GrpcDiscovery).target('GREETER', options);
      const client = new (greeterClass())(url, credentials.createSsl(cert), channelOptions);
      clients.push(client);
      const call = client as unknown as Record<string, (...args: unknown[]) => void>;
      return new Promise((resolve) =>
        call['Hello']?.({}, (error: ServiceError | null, answer?: Text) => resolve(error?.details ?? answer?.text)),
      );
    };
    expect(await ask({})).toBe('one');
    expect(await ask({ serverName: 'other' })).toMatch(/Hostname\/IP does not match certificate/);
    registry.removeInstance('GREETER', instance.id);
    registry.addInstance('GREETER', { port: one.port });
    await expect.poll(() => app.get(DiscoveryClient).getInstances('GREETER')).toMatchObject([{ host: '127.0.0.1' }]);
    expect(await ask({ serverName: 'localhost' })).toBe('one');
    expect(await ask({})).toMatch(/Hostname\/IP does not match certificate/);
  });
});

describe('in Nest', () => {
  interface Greeter {
    hello(question: object): Observable<Text>;
    read(question: object): Observable<Text>;
    count(question: object): Observable<Text>;
    talk(questions: Observable<object>): Observable<Text>;
  }

  test('ClientsModule and @GrpcServiceClient are balanced, and closed with the app', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    registry.addInstance('GREETER', { port: one.port });
    registry.addInstance('GREETER', { port: two.port });

    @Injectable()
    class Consumer {
      constructor(
        @Inject('GREETER') readonly byModule: ClientGrpc,
        @GrpcServiceClient('GREETER', { package: 'hello', protoPath: PROTO }) readonly byName: ClientGrpc,
      ) {}
    }
    const backend = registry.backend();
    @Module({
      imports: [
        ClientsModule.registerAsync([
          {
            name: 'GREETER',
            inject: [GrpcDiscovery],
            useFactory: async (grpc: GrpcDiscovery) => ({
              transport: Transport.GRPC as const,
              options: { package: 'hello', protoPath: PROTO, ...(await grpc.target('GREETER')) },
            }),
          },
        ]),
        DiscoveryModule.forRoot({ registry: backend, config: backend }),
      ],
      providers: [Consumer],
    })
    class AppModule {}
    const app = await createApp(AppModule);
    await app.init();
    const { byModule, byName } = app.get(Consumer);
    for (const client of [byModule, byName]) {
      const greeter = client.getService<Greeter>('Greeter');
      const ask = async (): Promise<string> => (await firstValueFrom(greeter.hello({}))).text;
      await expect.poll(async () => (await counts(ask, 10))['two']).toBe(5);
      expect(await counts(ask, 20)).toEqual({ one: 10, two: 10 });
      const talked = greeter.talk(of({ text: 'a' }, { text: 'b' })).pipe(toArray());
      expect((await firstValueFrom(talked)).map(({ text }) => text.split(' ')[1])).toEqual(['a', 'b']);
    }
    // What its .proto says may be called again is.
    one.answers(failing(status.UNAVAILABLE));
    const greeter = byName.getService<Greeter>('Greeter');
    const read = async (): Promise<string> => (await firstValueFrom(greeter.read({}))).text;
    expect(await counts(read, 10)).toEqual({ two: 10 });
    await app.close();
    expect(registry.stats.openWatches).toBe(0);
    await expect(firstValueFrom(greeter.read({}))).rejects.toThrow();
    expect(() => byName.getService('Greeter')).toThrow(expect.objectContaining({ code: 'BACKEND_CLOSED' }));
  });

  test('what a client lacks is said where it is declared', () => {
    expect(() => GrpcServiceClient('GREETER', { protoPath: PROTO } as never)).toThrow('package is required');
    expect(() => GrpcServiceClient('GREETER', { package: 'hello', timeoutMs: 'x' } as never)).toThrow('timeoutMs');
    expect(() => GrpcServiceClient('../up', { package: 'hello' })).toThrow('must not');
  });
});

describe('what is routed', () => {
  test('the own zone is preferred, and left when it is down', async () => {
    const registry = new InMemoryRegistry();
    const [near, far] = await Promise.all([GreeterServer.start('near'), GreeterServer.start('far')]);
    registry.addInstance('GREETER', { port: near.port, zone: 'a' });
    registry.addInstance('GREETER', { port: far.port, zone: 'b' });
    const { read } = await caller(registry, {}, { zone: 'a' });
    expect(await counts(read, 20)).toEqual({ near: 20 });
    near.kill();
    expect(await counts(read, 20)).toEqual({ far: 20 });
  });

  test('an instance that goes out of service gets no more calls, and finishes those that it has', async () => {
    const registry = new InMemoryRegistry();
    let answer = (_text: string): void => {};
    const one = await GreeterServer.start('one', () => new Promise((resolve) => (answer = resolve)));
    const two = await GreeterServer.start('two');
    const first = registry.addInstance('GREETER', { port: one.port });
    const { hello, app } = await caller(registry);
    const slow = hello();
    await expect.poll(() => one.calls).toBe(1);
    registry.addInstance('GREETER', { port: two.port });
    registry.addInstance('GREETER', { id: first.id, port: one.port, status: 'OUT_OF_SERVICE' });
    await expect.poll(() => app.get(DiscoveryClient).getInstances('GREETER')).toMatchObject([{ port: two.port }]);
    expect(await counts(hello, 20)).toEqual({ two: 20 });
    expect(one.calls).toBe(1);
    answer('finished');
    expect(await slow).toBe('finished');
  });

  test('a new instance gets few calls while it warms up', async () => {
    const registry = new InMemoryRegistry();
    const [one, two] = await Promise.all([GreeterServer.start('one'), GreeterServer.start('two')]);
    registry.addInstance('GREETER', { port: one.port });
    const { hello } = await caller(registry, { routing: { warmUpMs: 1_000_000_000 } });
    await hello();
    registry.addInstance('GREETER', { port: two.port });
    await expect.poll(async () => (await counts(hello, 20))['two'] ?? 0).toBeGreaterThan(0);
    // A tenth of its half, as chance has it.
    expect((await counts(hello, 400))['two'] ?? 0).toBeLessThan(100);
  });

  test('calls that are under way count', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one', () => new Promise(() => {}));
    const two = await GreeterServer.start('two');
    registry.addInstance('GREETER', { port: one.port });
    const { hello, client } = await caller(registry, { balancing: 'least-pending' });
    const streams = client as unknown as Record<
      string,
      (question: object) => { cancel(): void; on(...args: unknown[]): unknown }
    >;
    const stream = streams['Count']?.({});
    stream?.on('error', () => {});
    stream?.on('data', () => {});
    await expect.poll(() => one.streams.size).toBe(1);
    registry.addInstance('GREETER', { port: two.port });
    // A stream does for as long as it lasts.
    await expect.poll(() => hello(new Metadata(), { deadline: Date.now() + 200 }).catch(() => 'late')).toBe('two');
    one.answers(() => 'one');
    expect(await counts(hello, 20)).toEqual({ two: 20 });
    stream?.cancel();
    await expect.poll(async () => (await counts(hello, 20))['one'] ?? 0).toBeGreaterThan(0);
  });

  test('a key stays with its instance', async () => {
    const registry = new InMemoryRegistry();
    for (const name of ['one', 'two', 'three']) {
      registry.addInstance('GREETER', { port: (await GreeterServer.start(name)).port });
    }
    const { hello } = await caller(registry, { balancing: 'consistent-hash', keyHeader: 'X-User' });
    // Until all three are connected a key may have gone to another.
    await expect.poll(async () => Object.keys(await counts(hello, 30)).length).toBe(3);
    for (const user of ['alice', 'bob', 'carol']) {
      const metadata = new Metadata();
      metadata.set('x-user', user);
      expect(Object.keys(await counts(() => hello(metadata), 10))).toHaveLength(1);
    }
  });

  test('a lane has its calls, and goes along', async () => {
    const registry = new InMemoryRegistry();
    const [base, alice] = await Promise.all([GreeterServer.start('base'), GreeterServer.start('alice')]);
    registry.addInstance('GREETER', { port: base.port });
    registry.addInstance('GREETER', { port: alice.port, metadata: { lane: 'alice' } });
    const { hello } = await caller(registry, { routing: { lane: {} } });
    const inLane = (lane: string) => () => {
      const metadata = new Metadata();
      metadata.set('x-lane', lane);
      return hello(metadata);
    };
    expect(await counts(inLane('alice'), 20)).toEqual({ alice: 20 });
    expect(await counts(hello, 20)).toEqual({ base: 20 });
    expect(await counts(inLane('bob'), 20)).toEqual({ base: 20 });
    expect(alice.asked[0]?.metadata.get('x-lane')).toEqual(['alice']);
    expect(base.asked[0]?.metadata.get('x-lane')).toEqual([]);
    expect(base.asked[20]?.metadata.get('x-lane')).toEqual(['bob']);
    alice.kill();
    await expect.poll(() => counts(() => inLane('alice')().catch(() => 'broken'), 10)).toEqual({ base: 10 });
  });
});

describe('calls', () => {
  test('for one answer have the time-out as their deadline, streams none', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one', () => new Promise(() => {}));
    registry.addInstance('GREETER', { port: one.port });
    const { hello, client } = await caller(registry, { timeoutMs: 50 });
    await expect(hello()).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await expect(hello(new Metadata(), { deadline: Date.now() - 1 })).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    const stream = (
      client as unknown as Record<string, (question: object) => ReturnType<Client['makeServerStreamRequest']>>
    )['Count']?.({});
    const heard: unknown[] = [];
    stream?.on('data', (data: unknown) => heard.push(data)).on('error', (error: unknown) => heard.push(error));
    await expect(hello()).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await expect(hello()).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(heard).toEqual([{ text: 'one' }]);
    stream?.cancel();
    await expect.poll(() => one.streams.size).toBe(0);
  });

  test('that are cancelled say nothing of the instance', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one', () => new Promise(() => {}));
    const two = await GreeterServer.start('two');
    registry.addInstance('GREETER', { port: one.port });
    const { client, hello } = await caller(registry, { ejection: { consecutiveFailures: 1, baseMs: 1e6, maxMs: 1e6 } });
    const call = (client as unknown as Record<string, (...args: unknown[]) => { cancel(): void }>)['Hello'];
    for (let n = 0; n < 3; n += 1) {
      const ended = new Promise((resolve) => {
        const started = call?.call(client, {}, resolve);
        void expect
          .poll(() => one.calls)
          .toBe(n + 1)
          .then(() => started?.cancel());
      });
      expect(await ended).toMatchObject({ code: status.CANCELLED });
    }
    one.answers(() => 'one');
    registry.addInstance('GREETER', { port: two.port });
    await expect.poll(async () => (await counts(hello, 10))['two']).toBe(5);
    expect(await counts(hello, 20)).toEqual({ one: 10, two: 10 });
  });

  test('leave nothing behind', async () => {
    const registry = new InMemoryRegistry();
    const one = await GreeterServer.start('one');
    registry.addInstance('GREETER', { port: one.port });
    const { app } = await caller(registry);
    const { url, channelOptions } = await app.get(GrpcDiscovery).target('GREETER');
    const client = new (greeterClass())(url, credentials.createInsecure(), channelOptions);
    const call = client as unknown as Record<string, (question: object, done: () => void) => void>;
    await Promise.all(Array.from({ length: 20 }, () => new Promise<void>((done) => call['Hello']?.({}, done))));
    expect(registry.stats.openWatches).toBe(1);
    client.close();
    await app.close();
    expect(registry.stats.openWatches).toBe(0);
  });
});
