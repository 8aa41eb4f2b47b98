import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { credentials, Metadata, type Client, type ServiceError } from '@grpc/grpc-js';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { ClientProxy } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import { EventSource, WebSocket } from 'undici';
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
import {
  lastingInstance,
  startInstance,
  type Instance,
  type LastingInstance,
  type LastingProtocol,
  type Protocol,
} from './protocol-instances.js';

const LASTING: readonly LastingProtocol[] = ['websocket', 'sse'];
const PROTOCOLS: readonly Protocol[] = ['axios', 'fetch', 'dispatcher', 'grpc', 'tcp', ...LASTING];

/** Asks a service for the name of the instance that answers. */
type Ask = () => Promise<string>;

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** A connection that lasts, once who is at its other end has said its name. */
interface Open {
  readonly name: string;
  /** Resolves when the other side has ended it. */
  readonly ended: Promise<unknown>;
  close(): void;
}

/** How a connection that lasts is opened. */
function openerOf(app: INestApplicationContext, protocol: LastingProtocol, service: string): () => Promise<Open> {
  const dispatcher = serviceDispatcher(app.get(ServiceHttpClient));
  return async () => {
    const source =
      protocol === 'sse'
        ? new EventSource(`http://${service}/`, { node: { dispatcher } })
        : new WebSocket(`ws://${service}/`, { dispatcher });
    // An event source that fails tries again by itself, which is no answer of the call that failed.
    const ended = new Promise<Error>((resolve) => {
      const end = (): void => resolve(new Error('ended'));
      source.addEventListener('error', end);
      if (source instanceof WebSocket) source.addEventListener('close', end);
    });
    const name = new Promise<string>((resolve) => {
      (source as WebSocket).addEventListener('message', ({ data }) => resolve(String(data)), { once: true });
    });
    const first = await Promise.race([name, ended]);
    if (typeof first === 'string') return { name: first, ended, close: () => source.close() };
    source.close();
    throw first;
  };
}

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
    case 'websocket':
    case 'sse': {
      const open = openerOf(app, protocol, service);
      return async () => {
        const one = await open();
        one.close();
        return one.name;
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

  /** Registers one for as long as the test runs. */
  const register = async (service: string, instance: Instance, more: object = {}): Promise<Lease> => {
    const { port, scheme } = instance;
    const lease = registrar.get(ServiceRegistry).register({ service, host: '127.0.0.1', port, scheme, ...more });
    await lease.registered;
    ends.push(
      () => lease.revoke(),
      () => instance.kill(),
    );
    return lease;
  };

  const known = async (by: INestApplicationContext, service: string, count: number): Promise<void> => {
    await expect.poll(() => by.get(DiscoveryClient).getInstances(service)).toHaveLength(count);
  };

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
      const lease = await register(service, instance, {
        ...(zone === undefined ? {} : { zone }),
        ...(lane === undefined ? {} : { metadata: { lane } }),
      });
      all.push({ instance, lease });
    }
    await known(by, service, wanted.length);
    const asking = await askerOf(by, protocol, service);
    // Whoever must be connected to be called is.
    for (const { instance } of all.filter((_, i) => wanted[i]?.lane === undefined && wanted[i]?.zone !== 'far')) {
      await expect.poll(async () => (await asking()) && instance.calls()).toBeGreaterThan(0);
    }
    return { all, asking, known: (count: number) => known(by, service, count) };
  };

  describe.each(LASTING)('%s that stay open', (protocol) => {
    const held = async () => {
      const service = `m-${protocol}-${randomUUID().slice(0, 8)}`;
      const instances: LastingInstance[] = [];
      const leases: Lease[] = [];
      for (const name of ['one', 'two']) {
        const instance = await lastingInstance(protocol, name);
        leases.push(await register(service, instance));
        instances.push(instance);
      }
      await known(caller, service, 2);
      const open = openerOf(caller, protocol, service);
      const opened = await Promise.all(Array.from({ length: 20 }, open));
      ends.push(() => opened.forEach((one) => one.close()));
      const [one, two] = instances as [LastingInstance, LastingInstance];
      expect([one.open(), two.open()]).toEqual([10, 10]);
      return { service, one, two, lease: leases[0] as Lease, open, opened };
    };

    test('one is killed: what was open there is opened again elsewhere, and nothing else ends', async () => {
      const { one, two, open, opened } = await held();
      const brokenOff = opened.filter(({ name }) => name === 'one');
      await one.kill();
      await Promise.all(brokenOff.map(({ ended }) => ended));
      // Event sources come back by themselves.
      if (protocol === 'websocket') {
        for (const _ of brokenOff) {
          const again = await open();
          ends.push(() => again.close());
          expect(again.name).toBe('two');
        }
      }
      await expect.poll(() => [one.open(), two.open()]).toEqual([0, 20]);
    });

    test('one is drained: what is open there goes on until it is closed, and nothing is opened there', async () => {
      const { service, one, two, lease, open, opened } = await held();
      await lease.setStatus('OUT_OF_SERVICE');
      await known(caller, service, 1);
      for (let n = 0; n < 10; n += 1) {
        const more = await open();
        ends.push(() => more.close());
        expect(more.name).toBe('two');
      }
      expect([one.open(), two.open()]).toEqual([10, 20]);
      for (const { name, close } of opened) if (name === 'one') close();
      await expect.poll(() => [one.open(), two.open()]).toEqual([0, 20]);
      await one.stop();
    });
  });

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
