import { Controller, Injectable, Module } from '@nestjs/common';
import { MessagePattern, Transport, type ClientProxy } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import { afterEach, expect, test } from 'vitest';
import { NatsClient, type NatsServiceClient } from '../../../lib/backends/nats/index.js';
import {
  InjectNatsService,
  NatsEndpoint,
  NatsHeaders,
  NatsService,
  NatsServicesModule,
} from '../../../lib/backends/nats/nest/index.js';
import { DiscoveryModule } from '../../../lib/index.js';
import { DiscoverableClientProxy } from '../../../lib/integrations/microservices/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { withServer } from '../../servers/for-tests.js';
import { createApp } from '../support.js';
import { tcpHop } from './hops.js';

withServer('nats', {}, (server) => {
  const clients: NatsClient[] = [];
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });

  test('the lane of a NATS request goes along by NATS and by TCP', async () => {
    const registry = new InMemoryRegistry();
    await tcpHop(registry, { name: 'LAST' });
    await tcpHop(registry, { name: 'LAST', lane: 'alice' });
    const name = `lanes-${process.pid}`;
    @NatsService({ name: `${name}-last`, version: '1.0.0' })
    @Injectable()
    class Last {
      @DiscoverableClientProxy('LAST') readonly last!: ClientProxy;

      @NatsEndpoint()
      async trail(@NatsHeaders('x-lane') lane: string | undefined): Promise<string> {
        return `${lane ?? 'none'} ${await firstValueFrom(this.last.send<string>('trail', {}))}`;
      }
    }
    @NatsService({ name: `${name}-first`, version: '1.0.0' })
    @Injectable()
    class First {
      @InjectNatsService(`${name}-last`) readonly last!: NatsServiceClient;

      @NatsEndpoint()
      async trail(): Promise<string> {
        return this.last.call<string>('trail', {});
      }
    }
    const backend = registry.backend();
    @Module({
      imports: [
        NatsServicesModule.forRoot({ connection: { servers: server.url } }),
        DiscoveryModule.forRoot({ registry: backend, config: backend, http: { routing: { lane: {} } } }),
      ],
      providers: [First, Last],
    })
    class AppModule {}
    const app = await createApp(AppModule);
    await app.init();
    const client = new NatsClient({ servers: server.url });
    clients.push(client);
    await client.connect();
    const first = client.serviceClient(`${name}-first`, { timeoutMs: 5000, retries: 0 });
    const ask = (lane?: string): Promise<unknown> =>
      first.call('trail', {}, lane === undefined ? {} : { headers: { 'x-lane': lane } });
    expect(await ask()).toBe('none LAST/base');
    expect(await ask('alice')).toBe('alice LAST/alice');
    expect(await Promise.all(['alice', undefined, 'alice'].map((lane) => ask(lane)))).toEqual([
      'alice LAST/alice',
      'none LAST/base',
      'alice LAST/alice',
    ]);
  });

  test("the lane of a message of Nest's own NATS transport goes along", async () => {
    const registry = new InMemoryRegistry();
    await tcpHop(registry, { name: 'LAST' });
    await tcpHop(registry, { name: 'LAST', lane: 'alice' });
    const subject = `lanes.${process.pid}`;
    @Controller()
    class Hop {
      @DiscoverableClientProxy('LAST') readonly last!: ClientProxy;

      @MessagePattern(subject)
      async trail(): Promise<string> {
        return firstValueFrom(this.last.send<string>('trail', {}));
      }
    }
    const backend = registry.backend();
    @Module({
      controllers: [Hop],
      imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, http: { routing: { lane: {} } } })],
    })
    class AppModule {}
    const app = await createApp(AppModule);
    app.connectMicroservice({ transport: Transport.NATS, options: { servers: [server.url] } });
    await app.startAllMicroservices();
    const { connect, headers, StringCodec } = await import('nats');
    const connection = await connect({ servers: server.url });
    try {
      const ask = async (lane?: string): Promise<unknown> => {
        const sent = headers();
        if (lane !== undefined) sent.set('X-Lane', lane);
        const data = StringCodec().encode(JSON.stringify({ pattern: subject, data: {}, id: '1' }));
        const answer = await connection.request(subject, data, { headers: sent, timeout: 5000 });
        return (JSON.parse(StringCodec().decode(answer.data)) as { response: unknown }).response;
      };
      expect(await ask()).toBe('LAST/base');
      expect(await ask('alice')).toBe('LAST/alice');
    } finally {
      await connection.close();
    }
  });
});
