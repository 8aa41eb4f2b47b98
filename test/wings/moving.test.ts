import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { Controller, Get, Injectable, Module, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, expect, test } from 'vitest';
import { consul } from '../../lib/backends/consul/index.js';
import { nats } from '../../lib/backends/nats/index.js';
import {
  DiscoverableClient,
  DiscoveryClient,
  DiscoveryModule,
  enableGracefulShutdown,
  ServiceHttpClient,
  type DiscoveryModuleOptions,
} from '../../lib/index.js';
import { withServer } from '../servers/for-tests.js';

type Registry = DiscoveryModuleOptions['registry'];

const apps = new Set<INestApplication>();

afterEach(async () => {
  for (const app of apps) await app.close();
  apps.clear();
});

async function start(module: Type): Promise<INestApplication> {
  const app = enableGracefulShutdown(await NestFactory.create(module, { logger: false }), { signals: [] });
  apps.add(app);
  await app.listen(0, '127.0.0.1');
  return app;
}

async function stop(app: INestApplication): Promise<void> {
  apps.delete(app);
  await app.close();
}

/** The steps of docs/several-registries.md, on real servers, app by app, while calls go on. */
withServer('consul', {}, (consulServer) => {
  withServer('nats', {}, (natsServer) => {
    test('a move from one registry to another fails no call', async () => {
      const name = `moving-${randomUUID()}`;
      const old = consul({ address: consulServer.url });
      const next = nats({ servers: natsServer.url, presence: { bucket: name } });
      const options = (registry: Registry, service?: string): DiscoveryModuleOptions => ({
        ...(service === undefined ? {} : { service: { name: service } }),
        ...(registry === undefined ? {} : { registry }),
        // Long enough for the callers to hear of it, as in production.
        shutdown: { propagationDelayMs: 1000 },
        configOptions: { layers: false },
      });

      @Controller()
      class StockController {
        @Get() answer() {
          return { ok: true };
        }
      }
      const stockOf = async (registry: Registry): Promise<INestApplication> => {
        @Module({ controllers: [StockController], imports: [DiscoveryModule.forRoot(options(registry, name))] })
        class StockModule {}
        const app = await start(StockModule);
        return app;
      };
      @Injectable()
      class Caller {
        constructor(@DiscoverableClient(name) readonly stock: ServiceHttpClient) {}
      }
      const callerOf = async (registry: Registry): Promise<INestApplication> => {
        @Module({ providers: [Caller], imports: [DiscoveryModule.forRoot(options(registry))] })
        class CallerModule {}
        return start(CallerModule);
      };
      const known = (app: INestApplication) => app.get(DiscoveryClient).getInstances(name);

      let stocks = [await stockOf(old), await stockOf(old)];
      let caller = await callerOf(old);
      await expect.poll(async () => (await known(caller)).length).toBe(2);

      let calls = 0;
      const failures: unknown[] = [];
      let going = true;
      const calling = (async () => {
        while (going) {
          try {
            await caller.get(Caller).stock.axiosRef.get('/');
            calls++;
          } catch (error) {
            failures.push(error);
          }
          await turn();
        }
      })();

      const steps: Registry[] = [[old, next], [next, old], [next, { backend: old, discover: false }], next];
      for (const registry of steps) {
        for (const [index, before] of stocks.entries()) {
          const after = await stockOf(registry);
          // As an orchestrator does: the old one goes when the new one is found.
          const [port] = (await after.getUrl()).match(/\d+$/) ?? [];
          await expect.poll(async () => (await known(caller)).some((one) => String(one.port) === port)).toBe(true);
          stocks = stocks.with(index, after);
          await stop(before);
        }
        const after = await callerOf(registry);
        await expect.poll(async () => (await known(after)).length).toBe(2);
        const before = caller;
        caller = after;
        // The call that the old one is making is its own; those after it are the new one's.
        const made = calls;
        await expect.poll(() => calls > made + 1).toBe(true);
        await stop(before);
      }
      going = false;
      await calling;
      expect(failures).toEqual([]);
      expect(calls).toBeGreaterThan(100);

      // Nobody is left in the old one.
      const reader = await callerOf(old);
      expect(await known(reader)).toEqual([]);
    }, 180_000);
  });
});
