import { createRequire } from 'node:module';
import { NacosClient } from '../../lib/backends/nacos/index.js';
import { ServerPool } from '../servers/pool.js';
import { median, round } from './statistics.js';

const ROUNDS = 15;
const REGISTRATIONS = 200;
const REGISTRATION_ROUNDS = 5;
const CONCURRENCY = 16;

/** What is used of the npm package `nacos`, whose types don't name its options. */
interface Peer {
  readonly NacosNamingClient: new (options: object) => PeerNaming;
  readonly NacosConfigClient: new (options: object) => PeerConfig;
}
interface PeerNaming {
  ready(): Promise<void>;
  subscribe(service: string, listener: (hosts: readonly { readonly port: number }[]) => void): void;
  registerInstance(service: string, instance: object): Promise<void>;
  close(): Promise<void>;
}
interface PeerConfig {
  ready(): Promise<void>;
  subscribe(item: object, listener: (content: string) => void): void;
  close(): Promise<void>;
}

/**
 * From a change to its event, and registrations a second: our gRPC client beside the npm client `nacos` (HTTP, with UDP
 * pushes and long polls) on the same server, at the same time.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const pool = new ServerPool();
  const peer = createRequire(import.meta.url)('nacos') as Peer;
  try {
    const acquired = await pool.start('nacos', 'open');
    if (!acquired.available) throw new Error(`no Nacos: ${acquired.reason}`);
    const address = `127.0.0.1:${acquired.server.port}`;
    const nothing = (): void => {};
    const logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, log: nothing };
    const ours = new NacosClient({ serverAddresses: address, noSnapshot: true });
    const writer = new NacosClient({ serverAddresses: address, noSnapshot: true });
    await Promise.all([ours.start(), writer.start()]);
    const theirs = new peer.NacosNamingClient({ logger, serverList: address, namespace: 'public' });
    const theirConfig = new peer.NacosConfigClient({ logger, serverAddr: address, namespace: '' });
    await Promise.all([theirs.ready(), theirConfig.ready()]);

    const service = await serviceEvents(ours, theirs, writer);
    const config = await configEvents(ours, theirConfig, writer);
    const registrations = await registering(ours, theirs);

    await Promise.all([ours.close(), writer.close(), theirs.close(), theirConfig.close()]);
    const result = {
      eventMs: round(median(service.ours)),
      peerEventMs: round(median(service.theirs)),
      eventVsPeer: round(median(service.theirs) / median(service.ours), 2),
      configEventMs: round(median(config.ours)),
      peerConfigEventMs: round(median(config.theirs)),
      configEventVsPeer: round(median(config.theirs) / median(config.ours), 2),
      registrationsPerSecond: round(median(registrations.ours), 0),
      peerRegistrationsPerSecond: round(median(registrations.theirs), 0),
      registrationsVsPeer: round(median(registrations.ours) / median(registrations.theirs), 2),
    };
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    say(`instance registered to event   ${result.eventMs} ms   npm nacos ${result.peerEventMs} ms`);
    say(`content published to event     ${result.configEventMs} ms   npm nacos ${result.peerConfigEventMs} ms`);
    say(
      `registrations a second         ${result.registrationsPerSecond}   npm nacos ${result.peerRegistrationsPerSecond}`,
    );
    if (json) say(JSON.stringify(result));
  } finally {
    await pool.end();
  }
  // The peer leaves timers behind.
  setTimeout(() => process.exit(0), 100).unref();
}

interface Samples {
  readonly ours: number[];
  readonly theirs: number[];
}

/** A value that somebody waits for. */
class Arrival<T> {
  private waiting: { readonly value: T; readonly resolve: () => void } | undefined;

  arrived(values: readonly T[]): void {
    if (this.waiting === undefined || !values.includes(this.waiting.value)) return;
    this.waiting.resolve();
    this.waiting = undefined;
  }

  async msUntil(value: T, start: number): Promise<number> {
    await new Promise<void>((resolve) => {
      this.waiting = { value, resolve };
    });
    return performance.now() - start;
  }
}

async function serviceEvents(ours: NacosClient, theirs: PeerNaming, writer: NacosClient): Promise<Samples> {
  const serviceName = `bench-${process.pid}`;
  const samples: Samples = { ours: [], theirs: [] };
  const [mine, peers] = [new Arrival<number>(), new Arrival<number>()];
  await ours.naming.subscribe({ serviceName, listener: (hosts) => mine.arrived(hosts.map((host) => host.port)) });
  theirs.subscribe(serviceName, (hosts) => peers.arrived(hosts.map((host) => host.port)));
  for (let index = 0; index <= ROUNDS; index += 1) {
    const port = 1000 + index;
    const start = performance.now();
    const both = Promise.all([mine.msUntil(port, start), peers.msUntil(port, start)]);
    await writer.naming.registerInstance({ serviceName, ip: '10.0.0.1', port });
    const [own, peer] = await both;
    // The first one warms everything up.
    if (index === 0) continue;
    samples.ours.push(own);
    samples.theirs.push(peer);
  }
  return samples;
}

async function configEvents(ours: NacosClient, theirs: PeerConfig, writer: NacosClient): Promise<Samples> {
  const dataId = `bench-${process.pid}`;
  const samples: Samples = { ours: [], theirs: [] };
  const [mine, peers] = [new Arrival<string>(), new Arrival<string>()];
  await ours.config.addListener(dataId, undefined, (_tenant, _id, _group, content) => mine.arrived([content ?? '']));
  theirs.subscribe({ dataId, group: 'DEFAULT_GROUP' }, (content) => peers.arrived([content]));
  for (let index = 0; index <= ROUNDS; index += 1) {
    const content = `value ${index}`;
    const start = performance.now();
    const both = Promise.all([mine.msUntil(content, start), peers.msUntil(content, start)]);
    await writer.config.publishConfig({ dataId, content });
    const [own, peer] = await both;
    if (index === 0) continue;
    samples.ours.push(own);
    samples.theirs.push(peer);
  }
  return samples;
}

/** Registrations a second, each of a service of its own, the two clients in turn. */
async function registering(ours: NacosClient, theirs: PeerNaming): Promise<Samples> {
  const samples: Samples = { ours: [], theirs: [] };
  for (let index = 0; index <= REGISTRATION_ROUNDS; index += 1) {
    const own = await perSecond((one) =>
      ours.naming.registerInstance({ serviceName: `own-${index}-${one}`, ip: '10.0.0.2', port: 80 }),
    );
    const peer = await perSecond((one) =>
      theirs.registerInstance(`peer-${index}-${one}`, { ip: '10.0.0.3', port: 80, ephemeral: true }),
    );
    if (index === 0) continue;
    samples.ours.push(own);
    samples.theirs.push(peer);
  }
  return samples;
}

async function perSecond(register: (index: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (next < REGISTRATIONS) await register((next += 1));
    }),
  );
  return (REGISTRATIONS * 1000) / (performance.now() - start);
}
