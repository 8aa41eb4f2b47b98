import { promisify } from 'node:util';
import zookeeperLibrary from 'node-zookeeper-client';
import { silentLogger, systemClock, type BackendContext, type DiscoveryReport } from '../../lib/backend/index.js';
import { asab, zookeeper, ZooKeeperClient, type ZooKeeperBackend } from '../../lib/backends/zookeeper/index.js';
import { ServerPool } from '../servers/pool.js';
import type { RunningServer } from '../servers/types.js';
import { median, round } from './statistics.js';

const INSTANCES = 2000;
const LOADS = 7;
/** Of each chunk, in each direction, in milliseconds. */
const DISTANCE_MS = 1;
const DISTANT_LOADS = 3;
const CHANGES = 60;
const SEQUENTIAL_CHANGES = 5;
const SERVICE = 'bench';
const RUN = '/asab/run';

/**
 * ASAB's records on a real server: the first load of 2,000 instances and the reaction to one change, beside the
 * original's way on the same server: list, then read one node after the other, all of them after every event.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const pool = new ServerPool();
  try {
    const acquired = await pool.start('zookeeper', 'single');
    if (!acquired.available) throw new Error(`no ZooKeeper: ${acquired.reason}`);
    const { url } = acquired.server;
    const writer = new ZooKeeperClient({ servers: url });
    await writer.open();
    const nodes = await fill(writer);
    const ours: number[] = [];
    const sequential: number[] = [];
    for (let load = 0; load <= LOADS; load += 1) {
      const times = [await firstLoad(url), await sequentialLoad(url)] as const;
      // The first one warms the server up.
      if (load === 0) continue;
      ours.push(times[0]);
      sequential.push(times[1]);
    }
    const distant = await overDistance(acquired.server);
    const reaction = await changes(url, writer, nodes);
    const sequentialChangeMs = await sequentialChanges(url, writer, nodes);
    const firstLoadMs = round(median(ours));
    const sequentialLoadMs = round(median(sequential));
    const result = {
      instances: INSTANCES,
      firstLoadMs,
      sequentialLoadMs,
      firstLoadVsSequential: round(median(sequential) / median(ours), 2),
      distant,
      changeMs: round(reaction.changeMs, 2),
      sequentialChangeMs: round(sequentialChangeMs, 2),
      readsPerChange: reaction.readsPerChange,
      sequentialReadsPerChange: INSTANCES,
    };
    await writer.close();
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    say(`first load of ${INSTANCES} instances   ${firstLoadMs} ms   one at a time ${sequentialLoadMs} ms`);
    say(
      `the same, ${DISTANCE_MS} ms away      ${distant.firstLoadMs} ms   one at a time ${distant.sequentialLoadMs} ms`,
    );
    say(`reaction to one change       ${result.changeMs} ms   reading all again ${result.sequentialChangeMs} ms`);
    say(`nodes read for a change      ${result.readsPerChange}   reading all again ${INSTANCES}`);
    if (json) say(JSON.stringify(result));
  } finally {
    await pool.end();
  }
}

/** The same with a network's delay in each direction, which is what one at a time pays for every node. */
async function overDistance(
  server: RunningServer,
): Promise<{ firstLoadMs: number; sequentialLoadMs: number; firstLoadVsSequential: number }> {
  const proxy = await server.proxy();
  proxy.delay(DISTANCE_MS);
  const ours: number[] = [];
  const sequential: number[] = [];
  for (let load = 0; load < DISTANT_LOADS; load += 1) {
    ours.push(await firstLoad(proxy.url));
    sequential.push(await sequentialLoad(proxy.url));
  }
  await proxy.close();
  return {
    firstLoadMs: round(median(ours)),
    sequentialLoadMs: round(median(sequential)),
    firstLoadVsSequential: round(median(sequential) / median(ours), 2),
  };
}

function recordOf(index: number, version: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      host: `host-${index}`,
      appclass: 'Bench',
      launch_time: '2024-01-01T00:00:00.000000Z',
      process_id: index,
      instance_id: `bench-${index}`,
      service_id: SERVICE,
      node_id: `node-${index % 50}`,
      containerized: true,
      version: `v${version}`,
      web: [
        ['0.0.0.0', 8090],
        ['::', 8090, 0, 0],
      ],
    }),
  );
}

async function fill(writer: ZooKeeperClient): Promise<readonly string[]> {
  await writer.ensure(RUN);
  const indexes = Array.from({ length: INSTANCES }, (_, index) => index);
  return Promise.all(
    indexes.map((index) => writer.create(`${RUN}/Bench.`, recordOf(index, 0), { mode: 'ephemeral-sequential' })),
  );
}

function contextOf(): BackendContext {
  return {
    appId: 'bench',
    application: { name: 'bench', profiles: [] },
    logger: silentLogger,
    clock: systemClock,
    random: Math.random,
    report: () => {},
  };
}

async function opened(url: string): Promise<ZooKeeperBackend> {
  const backend = zookeeper({ servers: url, layout: asab({ manifest: false }) }).create(contextOf());
  await backend.open();
  await backend.client.exists('/');
  return backend;
}

async function firstLoad(url: string): Promise<number> {
  const backend = await opened(url);
  const start = performance.now();
  await new Promise<void>((resolve) => {
    backend.discovery.watch(SERVICE, ({ instances }) => {
      if (instances?.length === INSTANCES) resolve();
    });
  });
  const took = performance.now() - start;
  await backend.close();
  return took;
}

/** The library by itself, with one read after the other. */
class SequentialReader {
  private readonly client: ReturnType<typeof zookeeperLibrary.createClient>;
  onEvent = (): void => {};

  constructor(url: string) {
    this.client = zookeeperLibrary.createClient(url);
  }

  async open(): Promise<void> {
    this.client.connect();
    await new Promise<void>((resolve) => this.client.once('connected', () => resolve()));
  }

  async scan(): Promise<readonly unknown[]> {
    const watcher = (): void => this.onEvent();
    const list = promisify((done: (error: unknown, names: string[]) => void) =>
      this.client.getChildren(RUN, watcher, done),
    );
    const read = promisify((path: string, done: (error: unknown, data: Buffer) => void) =>
      this.client.getData(path, watcher, done),
    );
    const records: unknown[] = [];
    for (const name of await list()) records.push(JSON.parse((await read(`${RUN}/${name}`)).toString()));
    return records;
  }

  close(): void {
    this.client.close();
  }
}

async function sequentialLoad(url: string): Promise<number> {
  const reader = new SequentialReader(url);
  await reader.open();
  const start = performance.now();
  const records = await reader.scan();
  const took = performance.now() - start;
  reader.close();
  if (records.length !== INSTANCES) throw new Error(`${records.length} records were read`);
  return took;
}

async function changes(
  url: string,
  writer: ZooKeeperClient,
  nodes: readonly string[],
): Promise<{ changeMs: number; readsPerChange: number }> {
  const backend = await opened(url);
  const seen: { on: (report: DiscoveryReport) => void } = { on: () => {} };
  const reads = (): number => backend.asab?.discovery.stats.reads ?? NaN;
  const next = (passes: (report: DiscoveryReport) => boolean): Promise<void> =>
    new Promise((resolve) => (seen.on = (report) => passes(report) && resolve()));
  const loaded = next(({ instances }) => instances?.length === INSTANCES);
  backend.discovery.watch(SERVICE, (report) => seen.on(report));
  await loaded;
  const before = reads();
  const times: number[] = [];
  for (let change = 1; change <= CHANGES; change += 1) {
    const index = (change * 37) % INSTANCES;
    const version = `v${change}`;
    const arrived = next(
      ({ instances }) => instances?.some(({ metadata }) => metadata['version'] === version) === true,
    );
    const start = performance.now();
    await Promise.all([writer.setData(nodes[index] ?? '', recordOf(index, change)), arrived]);
    times.push(performance.now() - start);
  }
  const readsPerChange = round((reads() - before) / CHANGES, 2);
  await backend.close();
  return { changeMs: median(times), readsPerChange };
}

async function sequentialChanges(url: string, writer: ZooKeeperClient, nodes: readonly string[]): Promise<number> {
  const reader = new SequentialReader(url);
  await reader.open();
  await reader.scan();
  const times: number[] = [];
  for (let change = 1; change <= SEQUENTIAL_CHANGES; change += 1) {
    const index = (change * 41) % INSTANCES;
    const start = performance.now();
    const event = new Promise<void>((resolve) => (reader.onEvent = resolve));
    await writer.setData(nodes[index] ?? '', recordOf(index, 1000 + change));
    await event;
    await reader.scan();
    times.push(performance.now() - start);
  }
  reader.close();
  return median(times);
}
