import 'reflect-metadata';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import Consul from 'consul';
import { connect } from 'nats';
import { createClient } from 'node-zookeeper-client';
import { ConfigClient, DiscoveryModule } from 'nestjs-service-discovery';
import type { BackendDefinition } from 'nestjs-service-discovery/backend';
import { consul } from 'nestjs-service-discovery/consul';
import { nacos } from 'nestjs-service-discovery/nacos';
import { nats } from 'nestjs-service-discovery/nats';
import { InMemoryRegistry } from 'nestjs-service-discovery/testing';
import { zookeeper } from 'nestjs-service-discovery/zookeeper';
import { ServerPool } from '../../servers/pool.js';
import type { ProductName } from '../../servers/types.js';
import { median, round } from '../statistics.js';

const ROUNDS = 15;
/** From one change to the next: Consul's changes are read at most twice a second after a burst. */
const PAUSE_MS = 700;
const ID = 'bench/changes';

/** A product, and the client that a user would pick instead, which tells the document's text whenever it changes. */
interface Product {
  readonly product: ProductName;
  readonly variant: string;
  readonly id: string;
  definition(address: string): BackendDefinition;
  follow(address: string, id: string, changed: (text: string) => void): Promise<() => unknown>;
}

const PRODUCTS: readonly Product[] = [
  {
    product: 'consul',
    variant: 'dev',
    id: ID,
    definition: (address) => consul({ address: `http://${address}` }),
    async follow(address, key, changed) {
      const [host, port] = address.split(':');
      const client = new Consul({ host: String(host), port: Number(port) });
      const watch = client.watch({ method: client.kv.get, options: { key } });
      watch.on('change', (item?: { readonly Value: string }) => changed(item?.Value ?? ''));
      return () => watch.end();
    },
  },
  {
    product: 'nacos',
    variant: 'open',
    id: 'bench-changes',
    definition: (serverAddresses) => nacos({ serverAddresses }),
    async follow(serverAddr, dataId, changed) {
      const { NacosConfigClient } = createRequire(import.meta.url)('nacos') as {
        NacosConfigClient: new (options: object) => {
          ready(): Promise<void>;
          subscribe(item: object, changed: (text: string) => void): void;
          close(): unknown;
          readonly clients: ReadonlyMap<string, { on(event: 'error', listener: () => void): void }>;
        };
      };
      const logger = Object.fromEntries(['debug', 'info', 'warn', 'error', 'log'].map((name) => [name, () => {}]));
      const client = new NacosConfigClient({ logger, serverAddr, namespace: '' });
      await client.ready();
      client.subscribe({ dataId, group: 'DEFAULT_GROUP' }, changed);
      return () => {
        // Its question goes on after its end, and throws when the server has gone.
        for (const worker of client.clients.values()) worker.on('error', () => {});
        client.close();
      };
    },
  },
  {
    product: 'nats',
    variant: 'current',
    id: ID,
    definition: (address) => nats({ servers: `nats://${address}`, config: { bucket: 'bench' } }),
    async follow(address, key, changed) {
      const connection = await connect({ servers: `nats://${address}` });
      const bucket = await connection.jetstream().views.kv('bench');
      const watch = await bucket.watch({ key });
      void (async () => {
        for await (const entry of watch) changed(entry.string());
      })();
      return () => connection.close();
    },
  },
  {
    product: 'zookeeper',
    variant: 'single',
    id: ID,
    definition: (servers) => zookeeper({ servers, config: { root: '/bench-config' } }),
    async follow(address, id, changed) {
      const client = createClient(address);
      const read = (): void =>
        client.getData(`/bench-config/${id}`, read, (error, data) => error || changed(data.toString()));
      client.once('connected', read);
      client.connect();
      return () => client.close();
    },
  },
];

/** Waits for a text among those that came. */
class Arrivals {
  private readonly came = new Map<string, number>();
  private waiting: (() => void) | undefined;

  arrived(text: string): void {
    if (!this.came.has(text)) this.came.set(text, performance.now());
    this.waiting?.();
  }

  async at(text: string): Promise<number> {
    while (!this.came.has(text)) await new Promise<void>((resolve) => (this.waiting = resolve));
    return this.came.get(text) ?? NaN;
  }
}

/** From a write to what a reader of this package sees, and to what the product's own client tells, in milliseconds. */
export interface ChangeTimes {
  readonly oursMs: number;
  readonly peerMs: number;
}

/**
 * One document changed by somebody else, and who sees it when, on the same server and in the same rounds. Ours isn't
 * debounced here: what the path costs is measured, not the pause that the user has asked for.
 */
export async function changeTimes(): Promise<Readonly<Record<string, ChangeTimes>>> {
  const pool = new ServerPool();
  const times: Record<string, ChangeTimes> = {};
  try {
    for (const one of PRODUCTS) {
      const acquired = await pool.start(one.product, one.variant);
      if (!acquired.available) throw new Error(`no ${one.product}: ${acquired.reason}`);
      times[one.product] = await measured(one, `127.0.0.1:${acquired.server.port}`);
    }
  } finally {
    await pool.end();
  }
  return times;
}

async function measured({ definition, follow, id }: Product, address: string): Promise<ChangeTimes> {
  const writer = await started(definition(address), []);
  const write = (text: string) => writer.get(ConfigClient).publish(id, text);
  await write('at: start');
  const reader = await started(definition(address), [{ id, format: 'yaml' }]);
  const [ours, theirs] = [new Arrivals(), new Arrivals()];
  const watching = reader
    .get(ConfigClient)
    .watch('at')
    .subscribe((value) => ours.arrived(`at: ${value as string}`));
  const stop = await follow(address, id, (text) => theirs.arrived(text));
  const samples = { ours: [] as number[], theirs: [] as number[] };
  // The first rounds warm both up.
  for (let index = -3; index < ROUNDS; index += 1) {
    const text = `at: value ${index}`;
    await sleep(PAUSE_MS);
    const start = performance.now();
    const [own, peer] = await Promise.all([ours.at(text), theirs.at(text), write(text)]);
    if (index < 0) continue;
    samples.ours.push(own - start);
    samples.theirs.push(peer - start);
  }
  watching.unsubscribe();
  await stop();
  await Promise.all([reader.close(), writer.close()]);
  return { oursMs: round(median(samples.ours), 2), peerMs: round(median(samples.theirs), 2) };
}

function started(
  config: BackendDefinition,
  documents: readonly { readonly id: string; readonly format: 'yaml' }[],
): Promise<INestApplicationContext> {
  @Module({
    imports: [
      DiscoveryModule.forRoot({
        registry: new InMemoryRegistry().backend(),
        config,
        configOptions: { documents, layers: false, environment: false, commandLine: false, debounceMs: 0 },
      }),
    ],
  })
  class AppModule {}
  return NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
}
