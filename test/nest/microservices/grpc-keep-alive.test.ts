import { credentials, Metadata, status, type Client, type ServiceError } from '@grpc/grpc-js';
import { Injectable, Module } from '@nestjs/common';
import type { ClientGrpc } from '@nestjs/microservices';
import { lastValueFrom, type Observable } from 'rxjs';
import { afterEach, expect, test } from 'vitest';
import { DiscoveryModule } from '../../../lib/index.js';
import { GrpcDiscovery, GrpcServiceClient } from '../../../lib/integrations/microservices/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { createFaultProxy } from '../../servers/fault-proxy.js';
import { createApp } from '../support.js';
import { greeterClass, GreeterServer, PROTO, type Text } from './greeters.js';

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** An instance whose host falls silent: its connections look open, and nothing comes of them any more. */
async function silenced(registry: InMemoryRegistry) {
  const server = await GreeterServer.start('silenced', () => new Promise(() => {}));
  const proxy = await createFaultProxy([{ name: 'grpc', host: '127.0.0.1', port: server.port }]);
  ends.push(() => proxy.close());
  registry.addInstance('GREETER', { port: proxy.port, scheme: 'grpc' });
  return { server, proxy };
}

interface Greeter {
  hello(question: object): Observable<Text>;
  read(question: object): Observable<Text>;
}

// Without it each of them would end by its deadline, of which these have none.
const NO_LIMIT = { timeoutMs: 0, totalTimeoutMs: 0 };

test("keep-alive of a channel's options ends the calls of an instance that fell silent", async () => {
  const registry = new InMemoryRegistry();
  const { server, proxy } = await silenced(registry);
  const backend = registry.backend();
  const app = await createApp(DiscoveryModule.forRoot({ registry: backend, config: backend }));
  await app.init();
  const { url, channelOptions } = await app.get(GrpcDiscovery).target('GREETER', {
    ...NO_LIMIT,
    channelOptions: { 'grpc.keepalive_time_ms': 300, 'grpc.keepalive_timeout_ms': 300 },
  });
  const client: Client = new (greeterClass())(url, credentials.createInsecure(), channelOptions);
  ends.push(() => client.close());
  const hello = (client as unknown as Record<string, (...args: unknown[]) => unknown>)['Hello'];
  const failed = new Promise<ServiceError | null>((resolve) => hello?.call(client, {}, new Metadata(), resolve));
  await expect.poll(() => server.calls).toBe(1);
  const { bytesToServer } = proxy.counts;
  // It asks for signs of life while a call waits.
  await expect.poll(() => proxy.counts.bytesToServer).toBeGreaterThan(bytesToServer + 2 * PING);
  proxy.blackhole();
  expect(await failed).toMatchObject({ code: status.UNAVAILABLE });
});

test("keep-alive of @GrpcServiceClient's options has what may be called again called elsewhere", async () => {
  const registry = new InMemoryRegistry();
  const { server, proxy } = await silenced(registry);
  const keepalive = { keepaliveTimeMs: 300, keepaliveTimeoutMs: 300 };
  @Injectable()
  class Consumer {
    @GrpcServiceClient('GREETER', { package: 'hello', protoPath: PROTO, keepalive, ...NO_LIMIT })
    readonly client!: ClientGrpc;
  }
  const backend = registry.backend();
  @Module({ providers: [Consumer], imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })] })
  class AppModule {}
  const app = await createApp(AppModule);
  await app.init();
  const greeter = app.get(Consumer).client.getService<Greeter>('Greeter');
  const asked = lastValueFrom(greeter.read({}));
  await expect.poll(() => server.calls).toBe(1);
  const other = await GreeterServer.start('other');
  registry.addInstance('GREETER', { port: other.port, scheme: 'grpc' });
  proxy.blackhole();
  expect(await asked).toEqual({ text: 'other' });
  expect([server.calls, other.calls]).toEqual([1, 1]);
});

/** Bytes of one frame of HTTP/2 that asks for a sign of life. */
const PING = 17;
