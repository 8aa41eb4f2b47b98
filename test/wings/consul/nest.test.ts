import 'reflect-metadata';
import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { expect, it } from 'vitest';
import { consul } from '../../../lib/backends/consul/index.js';
import { ConsulClient, ConsulLocks, ConsulModule } from '../../../lib/backends/consul/nest/index.js';
import { local } from '../../../lib/backends/local/index.js';
import {
  ConfigValue,
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../../lib/index.js';
import { firstValueFrom } from 'rxjs';
import { withServer } from '../../servers/for-tests.js';
import { fresh, until } from './support/wait.js';

@Injectable()
class Jobs {
  constructor(
    readonly client: ConsulClient,
    readonly locks: ConsulLocks,
  ) {}
}

withServer('consul', { variant: 'dev' }, (server) => {
  const backendOf = () => consul({ address: server.url, check: { type: 'ttl', ttlMs: 3000 } });
  const appWith = async (options: DiscoveryModuleOptions, imports: unknown[] = [ConsulModule], providers = [Jobs]) => {
    @Module({ imports: [...(imports as []), DiscoveryModule.forRoot(options)], providers })
    class AppModule {}
    return NestFactory.create(AppModule, { logger: false, abortOnError: false });
  };

  it('client and locks are injectable, and end with the app', async () => {
    const app = await appWith({ registry: backendOf() });
    await app.init();
    const { client, locks } = app.get(Jobs);
    expect(await client.status.leader()).not.toBe('');
    const key = fresh('nest');
    const lock = await locks.acquire(key, { lockDelayMs: 0 });
    const election = locks.elect(fresh('nest-leader'), { lockDelayMs: 0 });
    await until(() => election.isLeader, 'it leads');
    await app.close();
    expect([lock.held, lock.signal.aborted, election.isLeader]).toEqual([false, true, false]);
    await expect(client.status.leader()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
  });

  it('a backend by its name; none is told', async () => {
    const two = await appWith(
      {
        registry: consul({ address: '127.0.0.1:1', name: 'first' }),
        config: consul({ address: server.url, name: 'second' }),
      },
      [ConsulModule.forBackend('second')],
    );
    expect(await two.get(Jobs).client.status.leader()).not.toBe('');
    await two.close();
    const none = local({ namespace: fresh('none') });
    await expect(appWith({ registry: none, config: none })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('an app that registers, is called by another by name, and has live configuration', async () => {
    const [service, prefix] = [fresh('stock'), fresh('config')];

    @Controller()
    class StockController {
      @ConfigValue('stock.limit', 10) readonly limit!: number;
      @Get('quote') quote() {
        return { limit: this.limit };
      }
    }
    @Injectable()
    class Caller {
      constructor(
        @DiscoverableClient(service) readonly stock: ServiceHttpClient,
        readonly discovery: DiscoveryClient,
      ) {}
    }
    const own = backendOf();
    const shared = consul({ address: server.url, config: { prefixes: [prefix] } });
    @Module({
      controllers: [StockController],
      imports: [
        DiscoveryModule.forRoot({ service: { name: service, host: '127.0.0.1' }, registry: shared, config: shared }),
      ],
    })
    class StockModule {}
    @Module({ providers: [Caller], imports: [DiscoveryModule.forRoot({ registry: own, config: own })] })
    class GatewayModule {}
    const stock = await NestFactory.create(StockModule, { logger: false, abortOnError: false });
    await stock.listen(0, '127.0.0.1');
    const gateway = await NestFactory.create(GatewayModule, { logger: false, abortOnError: false });
    await gateway.init();
    const caller = gateway.get(Caller);
    await until(async () => (await caller.discovery.getInstances(service)).length === 1, 'it is discovered');
    const limit = async (): Promise<unknown> => (await firstValueFrom(caller.stock.get('/quote'))).data;
    expect(await limit()).toEqual({ limit: 10 });
    const store = new ConsulClient(server.url);
    await store.kv.set(`${prefix}/${service}/stock.limit`, '25');
    await until(async () => JSON.stringify(await limit()) === '{"limit":25}', 'the new value is answered');
    await stock.close();
    expect(await store.services.list({ filter: `Service == "${service}"` })).toEqual({});
    await until(async () => (await caller.discovery.getInstances(service)).length === 0, 'it is gone');
    await gateway.close();
    await store.close();
  });
});
