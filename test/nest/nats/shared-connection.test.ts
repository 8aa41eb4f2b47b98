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
import { listen, LogCollector } from '../support.js';

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

// An account that may listen on little else than answers of its own.
const allowed = '[ "_MY.>", "$ASKED.>", "limited.>" ]';
const users = `authorization { users: [ { user: app, password: x, permissions: { subscribe: { allow: ${allowed} } } } ] }`;

// What the settings would add after the line becomes a comment.
withServer('nats', { settings: { [`${users} #`]: true } }, (server) => {
  it('prefixes of reply and control subjects hold for everything over the connection', async () => {
    const backend = nats({
      servers: server.url,
      username: 'app',
      password: 'x',
      inboxPrefix: '_MY',
      apiPrefix: '$ASKED',
      rounds: { intervalMs: 200 },
    });
    @NatsGroup('limited')
    @NatsService({ name: 'LIMITED', version: '1.0.0' })
    @Controller()
    class Limited {
      constructor(@InjectNatsService('LIMITED') readonly nats: NatsServiceClient) {}
      @NatsEndpoint() over() {
        return 'over';
      }
    }
    @Module({
      controllers: [Limited],
      imports: [
        DiscoveryModule.forRoot({
          service: { name: 'LIMITED', host: '127.0.0.1' },
          registry: backend,
          config: backend,
          shutdown: { propagationDelayMs: 0 },
        }),
        NatsServicesModule.forRoot(),
      ],
    })
    class AppModule {}
    const logger = new LogCollector();
    const app = await listen(AppModule, logger);
    const host = app.get(NatsServicesHost);
    // Looks the subject up, by the control subjects.
    expect(await app.get(Limited).nats.call('over')).toBe('over');
    expect(await host.queries.ping()).toMatchObject([{ name: 'LIMITED' }]);
    await expect.poll(async () => (await app.get(DiscoveryClient).getInstances('LIMITED')).length).toBe(1);
    expect(host.services).toHaveLength(1);
    expect(logger.warnings()).toEqual([]);
  });
});
