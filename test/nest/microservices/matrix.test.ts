import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { credentials, Metadata, type Client, type ServiceError } from '@grpc/grpc-js';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { ClientProxy } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Lease } from '../../../lib/backend/index.js';
import type { BackendDefinition } from '../../../lib/backend/index.js';
import { consul } from '../../../lib/backends/consul/index.js';
import { local } from '../../../lib/backends/local/index.js';
import {
  DiscoveryClient,
  DiscoveryModule,
  ServiceFetch,
  ServiceHttpClient,
  ServiceRegistry,
} from '../../../lib/index.js';
import { serviceDispatcher } from '../../../lib/integrations/fetch/index.js';
import { GrpcDiscovery, MessageDiscovery } from '../../../lib/integrations/microservices/index.js';
import { DiscoveryRuntime } from '../../../lib/nest/discovery-runtime.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { withServer } from '../../servers/for-tests.js';
import { greeterClass, type Text } from './greeters.js';
import { startInstance, type Instance, type Protocol } from './three-protocols.js';

const PROTOCOLS: readonly Protocol[] = ['axios', 'fetch', 'dispatcher', 'grpc', 'tcp'];

/** Asks a service for the name of the instance that answers. */
type Ask = () => Promise<string>;

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** How a service is asked, by one protocol's client. */
async function askerOf(app: INestApplicationContext, protocol: Protocol, service: string): Promise<Ask> {
  const http = app.get(ServiceHttpClient);
  switch (protocol) {
    case 'axios':
      return async () => (await firstValueFrom(http.get<string>(`lb://${service}/`))).data;
    case 'fetch': {
      const { fetch } = app.get(ServiceFetch);
      return async () => (await fetch(`lb://${service}/`)).text();
    }
    case 'dispatcher': {
      const dispatcher = serviceDispatcher(http);
      return async () => {
        const { body } = await dispatcher.request({ origin: `http://${service}`, method: 'GET', path: '/' });
        return body.text();
      };
    }
    case 'grpc': {
      const target = await app.get(GrpcDiscovery).target(service, { definitions: [greeterClass().service] });
      const client: Client = new (greeterClass())(target.url, credentials.createInsecure(), target.channelOptions);
      ends.push(() => client.close());
      const read = (client as unknown as Record<string, (...args: unknown[]) => unknown>)['Read'];
      return () =>
        new Promise((resolve, reject) => {
          read?.call(client, {}, new Metadata(), (error: ServiceError | null, answer?: Text) =>
            error === null ? resolve(answer?.text ?? '') : reject(error),
          );
        });
    }
    default: {
      const target = await app.get(MessageDiscovery).target(service, { idempotent: ['name'] });
      const client = new target.customClass(target.options) as ClientProxy;
      ends.push(() => client.close());
      return () => firstValueFrom(client.send<string>('name', {}));
    }
  }
}

/** What became of some calls: how many each instance has answered, and how many failed. */
interface Cell {
  readonly sent: number;
  readonly failed: number;
  readonly answers: Readonly<Record<string, number>>;
}

async function ask(asking: Ask, times: number): Promise<Cell> {
  const answers: Record<string, number> = {};
  let failed = 0;
  for (let n = 0; n < times; n += 1) {
    try {
      const name = await asking();
      answers[name] = (answers[name] ?? 0) + 1;
    } catch {
      failed += 1;
    }
  }
  return { sent: times, failed, answers };
}

function matrix(definition: () => BackendDefinition): void {
  let registrar: INestApplicationContext;
  let caller: INestApplicationContext;
  /** One that doesn't wait as long. */
  let hasty: INestApplicationContext;

  beforeAll(async () => {
    const appOf = (module: unknown): Promise<INestApplicationContext> =>
      NestFactory.createApplicationContext(module as never, { logger: false, abortOnError: false });
    const noConfig = new InMemoryRegistry().backend({ name: 'settings' });
    @Module({ imports: [DiscoveryModule.forRoot({ registry: definition(), config: noConfig })] })
    class RegistrarModule {}
    const callerOf = (timeoutMs: number): Promise<INestApplicationContext> => {
      @Module({
        imports: [
          DiscoveryModule.forRoot({
            registry: definition(),
            config: noConfig,
            zone: 'near',
            http: {
              timeoutMs,
              routing: { lane: {} },
              ejection: { consecutiveFailures: 2, baseMs: 600_000, maxMs: 600_000 },
            },
          }),
        ],
      })
      class CallerModule {}
      return appOf(CallerModule);
    };
    registrar = await appOf(RegistrarModule);
    caller = await callerOf(10_000);
    hasty = await callerOf(1000);
  });

  afterAll(async () => {
    await caller?.close();
    await hasty?.close();
    await registrar?.close();
  });

  /** A service of its own, whose instances are registered for as long as the test runs. */
  const serve = async (
    protocol: Protocol,
    wanted: readonly { readonly name: string; readonly zone?: string; readonly lane?: string }[],
    by = caller,
  ) => {
    const service = `m-${protocol}-${randomUUID().slice(0, 8)}`;
    const all: { readonly instance: Instance; readonly lease: Lease }[] = [];
    for (const { name, zone, lane } of wanted) {
      const instance = await startInstance(protocol, name);
      const lease = registrar.get(ServiceRegistry).register({
        service,
        host: '127.0.0.1',
        port: instance.port,
        scheme: instance.scheme,
        ...(zone === undefined ? {} : { zone }),
        ...(lane === undefined ? {} : { metadata: { lane } }),
      });
      await lease.registered;
      ends.push(
        () => lease.revoke(),
        () => instance.kill(),
      );
      all.push({ instance, lease });
    }
    const known = async (count: number): Promise<void> => {
      await expect.poll(() => by.get(DiscoveryClient).getInstances(service)).toHaveLength(count);
    };
    await known(wanted.length);
    const asking = await askerOf(by, protocol, service);
    // Whoever must be connected to be called is.
    for (const { instance } of all.filter((_, i) => wanted[i]?.lane === undefined && wanted[i]?.zone !== 'far')) {
      await expect.poll(async () => (await asking()) && instance.calls()).toBeGreaterThan(0);
    }
    return { all, asking, known };
  };

  describe.each(PROTOCOLS)('%s', (protocol) => {
    test('two instances: half each, and none fails', async () => {
      const { asking } = await serve(protocol, [{ name: 'one' }, { name: 'two' }]);
      expect(await ask(asking, 60)).toEqual({ sent: 60, failed: 0, answers: { one: 30, two: 30 } });
    });

    test('one is killed: none fails', async () => {
      const { asking, all } = await serve(protocol, [{ name: 'one' }, { name: 'two' }]);
      await all[0]?.instance.kill();
      expect(await ask(asking, 60)).toEqual({ sent: 60, failed: 0, answers: { two: 60 } });
    });

    test('one is drained while it is called: none fails', async () => {
      const { asking, all, known } = await serve(protocol, [{ name: 'one' }, { name: 'two' }]);
      let isOver = false;
      const cells: Cell[] = [];
      const load = (async () => {
        while (!isOver) cells.push(await ask(asking, 5));
      })();
      await all[0]?.lease.setStatus('OUT_OF_SERVICE');
      await known(1);
      const calls = all[0]?.instance.calls();
      const after = cells.length;
      await expect.poll(() => cells.length).toBeGreaterThan(after + 4);
      await all[0]?.instance.stop();
      const stopped = cells.length;
      await expect.poll(() => cells.length).toBeGreaterThan(stopped + 4);
      isOver = true;
      await load;
      expect(cells.reduce((sum, { failed }) => sum + failed, 0)).toBe(0);
      // But for the one that was under way.
      expect((all[0]?.instance.calls() ?? 0) - (calls ?? 0)).toBeLessThanOrEqual(1);
    });

    test('one stalls: two calls are lost to it, and no more', async () => {
      const { asking, all } = await serve(protocol, [{ name: 'one' }, { name: 'two' }], hasty);
      all[0]?.instance.stall();
      expect(await ask(asking, 60)).toEqual({ sent: 60, failed: 2, answers: { two: 58 } });
    });

    test('the own zone is down, and still registered: none fails', async () => {
      const { asking, all } = await serve(protocol, [
        { name: 'one', zone: 'near' },
        { name: 'two', zone: 'near' },
        { name: 'three', zone: 'far' },
      ]);
      expect(await ask(asking, 20)).toEqual({ sent: 20, failed: 0, answers: { one: 10, two: 10 } });
      await all[0]?.instance.kill();
      await all[1]?.instance.kill();
      expect(await ask(asking, 60)).toEqual({ sent: 60, failed: 0, answers: { three: 60 } });
    });

    test('a lane: none of its calls is elsewhere, and no other is in it', async () => {
      const { asking } = await serve(protocol, [{ name: 'base' }, { name: 'alice', lane: 'alice' }]);
      const { incoming } = caller.get(DiscoveryRuntime);
      const within = (lane: string) => () => incoming.within({ 'x-lane': lane }, asking);
      expect(await ask(within('alice'), 60)).toEqual({ sent: 60, failed: 0, answers: { alice: 60 } });
      expect(await ask(asking, 60)).toEqual({ sent: 60, failed: 0, answers: { base: 60 } });
      expect(await ask(within('bob'), 60)).toEqual({ sent: 60, failed: 0, answers: { base: 60 } });
    });
  });
}

describe('on local', () => {
  const namespace = `matrix-${process.pid}`;
  // The last to run, since hooks run in the reverse order: nobody writes into the folder any more.
  afterAll(() =>
    rm(join(tmpdir(), `nestjs-service-discovery-${userInfo().uid}`, namespace), { recursive: true, force: true }),
  );
  matrix(() => local({ namespace }));
});

withServer('consul', {}, (server) => {
  matrix(() => consul({ address: server.url, ...(server.token === undefined ? {} : { token: server.token }) }));
});
