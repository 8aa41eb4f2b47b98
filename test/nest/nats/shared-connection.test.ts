import { Controller, Get, Module } from '@nestjs/common';
import { expect, it } from 'vitest';
import { nats, NatsClient, NatsServiceClient } from '../../../lib/backends/nats/index.js';
import {
  InjectNatsService,
  NatsEndpoint,
  NatsGroup,
  NatsService,
  NatsServicesHost,
  NatsServicesModule,
} from '../../../lib/backends/nats/nest/index.js';
import { DiscoverableClient, DiscoveryClient, DiscoveryModule, ServiceHttpClient } from '../../../lib/index.js';
import { withServer } from '../../servers/for-tests.js';
import { listen } from '../support.js';

withServer('nats', { private: true }, (server) => {
  it('one connection for registry, configuration, services and clients; stopped before deregistration', async () => {
    const backend = nats({ servers: server.url, rounds: false });
    const order: string[] = [];
    @NatsGroup('both')
    @NatsService({ name: 'BOTH', version: '1.0.0' })
    @Controller()
    class Both {
      constructor(
        @DiscoverableClient('BOTH') readonly http: ServiceHttpClient,
        @InjectNatsService('BOTH') readonly nats: NatsServiceClient,
      ) {}
      @Get('over') @NatsEndpoint() over() {
        return { pid: process.pid };
      }
      onServiceDeregistered(): void {
        order.push(`deregistered, services running: ${host.services.length}`);
      }
    }
    @Module({
      controllers: [Both],
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'BOTH', host: '127.0.0.1' },
          registry: backend,
          config: backend,
          shutdown: { propagationDelayMs: 0 },
        }),
        NatsServicesModule.forRoot(),
      ],
    })
    class AppModule {}
    const app = await listen(AppModule);
    const host = app.get(NatsServicesHost);
    const both = app.get(Both);
    expect(both.nats).toBeInstanceOf(NatsServiceClient);
    expect(await both.nats.call('over')).toEqual({ pid: process.pid });
    await expect.poll(async () => (await app.get(DiscoveryClient).getInstances('BOTH')).length).toBe(1);
    const connections = await fetch(`http://127.0.0.1:${server.ports['monitor']}/connz`);
    expect(((await connections.json()) as { num_connections: number }).num_connections).toBe(1);
    await app.close();
    expect(order).toEqual(['deregistered, services running: 0']);
    const client = new NatsClient({ servers: server.url });
    await client.connect();
    expect(await client.queries().ping()).toEqual([]);
    await client.close();
  });
});
