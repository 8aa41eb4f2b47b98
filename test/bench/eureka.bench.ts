import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RegistryCache } from '../../lib/backends/eureka/client/registry-cache.js';
import { decodeApplications, type OutgoingInstance } from '../../lib/backends/eureka/eureka.codec.js';
import { EurekaClient, type EurekaApi } from '../../lib/backends/eureka/index.js';
import { ServerPool } from '../servers/pool.js';
import { median, round } from './statistics.js';

const INSTANCES = 10_000;
const APPLICATIONS = 200;
const CHANGES = 100;
const ROUNDS = 15;

/** What the benchmark uses of `eureka-js-client`, which has no types: the methods that its fetches call. */
interface PeerClient {
  cache: { app: Record<string, unknown[]>; vip: Record<string, unknown[]> };
  transformRegistry(registry: unknown): void;
  handleDelta(cache: PeerClient['cache'], applications: unknown): void;
}

/**
 * CPU and memory of taking over a full registry of 10,000 instances and a delta of 100 changes, from the text of the
 * server's answer to a registry that can be asked, beside `eureka-js-client` on the same answers of a real server.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const pool = new ServerPool();
  try {
    const acquired = await pool.start('eureka', 'single', {
      // Short, so that the delta holds the hundred changes and not the ten thousand registrations before them.
      'eureka.server.retention-time-in-m-s-in-delta-queue': 2000,
      'eureka.server.delta-retention-timer-interval-in-ms': 500,
      'eureka.server.response-cache-auto-expiration-in-seconds': 1,
    });
    if (!acquired.available) throw new Error(`no Eureka: ${acquired.reason}`);
    const { full, delta } = await answersOf(acquired.server.url);
    const result = measure(full, delta);
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    say(`full registry, ${INSTANCES} instances, ${round(full.length / 1e6)} MB of JSON`);
    say(
      `  CPU    ${result.fullCpuMs} ms   eureka-js-client ${result.fullCpuPeerMs} ms   (${result.fullCpuVsPeer} times)   JSON.parse alone ${result.fullCpuParseMs} ms   (${result.fullCpuVsParse} times)`,
    );
    say(`  heap   ${result.heapMb} MB   eureka-js-client ${result.heapPeerMb} MB   (${result.heapVsPeer} times)`);
    say(`delta, ${result.changes} changes`);
    say(
      `  CPU    ${result.deltaCpuMs} ms   eureka-js-client ${result.deltaCpuPeerMs} ms   (${result.deltaCpuVsPeer} times)`,
    );
    if (json) say(JSON.stringify(result));
  } finally {
    await pool.end();
  }
}

/** The two answers, of a server in which ten thousand instances were registered and a hundred then changed. */
async function answersOf(url: string): Promise<{ readonly full: string; readonly delta: string }> {
  const client = new EurekaClient({
    serviceUrls: url,
    shouldRegister: false,
    shouldDiscover: false,
    logLevel: 'silent',
  });
  const numbers = Array.from({ length: INSTANCES }, (_, index) => index);
  await inParallel(numbers, (index) => client.api.register(instanceOf(index)));
  const read = async (path: string): Promise<string> =>
    (await fetch(`${url}/${path}`, { headers: { accept: 'application/json' } })).text();
  const full = await read('apps/');
  while ((await read('apps/delta')).includes('"instance":')) await delay(200);
  await inParallel(numbers.slice(0, CHANGES), (index) => change(client.api, index));
  const delta = await read('apps/delta');
  await client.stop();
  return { full, delta };
}

/** A third of the changes is a change of status, a third an arrival, a third a departure; across the applications. */
function change(api: EurekaApi, index: number): Promise<unknown> {
  const number = (index * 97) % INSTANCES;
  if (index % 3 === 0) return api.statusUpdate(appOf(number), idOf(number), 'OUT_OF_SERVICE');
  if (index % 3 === 1) return api.register(instanceOf(INSTANCES + number));
  return api.cancel(appOf(number), idOf(number));
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

const appOf = (number: number): string => `SERVICE-NUMBER-${number % APPLICATIONS}`;
const hostOf = (number: number): string => `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
const idOf = (number: number): string => `${hostOf(number)}:${appOf(number).toLowerCase()}:8080`;

function instanceOf(number: number): OutgoingInstance {
  const host = hostOf(number);
  const app = appOf(number);
  return {
    instanceId: idOf(number),
    app,
    hostName: host,
    ipAddr: host,
    status: 'UP',
    port: 8080,
    portEnabled: true,
    securePort: 443,
    securePortEnabled: false,
    vipAddress: app.toLowerCase(),
    secureVipAddress: app.toLowerCase(),
    homePageUrl: `http://${host}:8080/`,
    statusPageUrl: `http://${host}:8080/actuator/info`,
    healthCheckUrl: `http://${host}:8080/actuator/health`,
    secureHealthCheckUrl: '',
    dataCenter: 'MyOwn',
    dataCenterMetadata: {},
    metadata: { 'management.port': '8080', zone: `zone-${number % 3}`, version: `1.${number % 20}.0` },
    renewalIntervalSeconds: 30,
    leaseSeconds: 3600,
    lastDirtyTimestamp: Date.now(),
  };
}

function measure(full: string, delta: string) {
  const collect = garbageCollector();
  const ours = { full: [] as number[], delta: [] as number[], heap: [] as number[] };
  const peer = { full: [] as number[], delta: [] as number[], heap: [] as number[] };
  const parse: number[] = [];
  let changes = 0;
  // In turn, so that what the machine does besides hits both; the first round warms both up.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const own = takeOver(
      collect,
      () => new RegistryCache(),
      (cache) => cache.replace(decodeApplications(JSON.parse(full))),
      (cache) => cache.apply(decodeApplications(JSON.parse(delta))),
    );
    changes = own.target.applications.size > 0 ? countRecords(delta) : 0;
    const theirs = takeOver(
      collect,
      createPeer,
      (client) => client.transformRegistry(JSON.parse(full)),
      (client) => client.handleDelta(client.cache, applicationsIn(JSON.parse(delta))),
    );
    if (round === 0) {
      check(own.target, theirs.target);
      continue;
    }
    collect();
    parse.push(cpuOf(() => JSON.parse(full)));
    for (const [into, from] of [
      [ours, own],
      [peer, theirs],
    ] as const) {
      into.full.push(from.fullMs);
      into.delta.push(from.deltaMs);
      into.heap.push(from.heapBytes);
    }
  }
  return {
    instances: INSTANCES,
    changes,
    fullCpuMs: round(median(ours.full)),
    fullCpuPeerMs: round(median(peer.full)),
    fullCpuParseMs: round(median(parse)),
    fullCpuVsParse: round(median(ours.full) / median(parse), 2),
    fullCpuVsPeer: round(median(ours.full) / median(peer.full), 2),
    deltaCpuMs: round(median(ours.delta), 2),
    deltaCpuPeerMs: round(median(peer.delta), 2),
    deltaCpuVsPeer: round(median(ours.delta) / median(peer.delta), 2),
    heapMb: round(median(ours.heap) / 1e6),
    heapPeerMb: round(median(peer.heap) / 1e6),
    heapVsPeer: round(median(ours.heap) / median(peer.heap), 2),
  };
}

function takeOver<T>(
  collect: () => void,
  create: () => T,
  full: (target: T) => unknown,
  delta: (target: T) => unknown,
) {
  collect();
  const heapBefore = process.memoryUsage().heapUsed;
  const target = create();
  const fullMs = cpuOf(() => full(target));
  collect();
  const heapBytes = process.memoryUsage().heapUsed - heapBefore;
  const deltaMs = cpuOf(() => delta(target));
  return { target, fullMs, deltaMs, heapBytes };
}

/** CPU time of the whole process, the garbage collector's threads included, in milliseconds. */
function cpuOf(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Both must have read everything, or the figures mean nothing. */
function check(own: RegistryCache, peer: PeerClient): void {
  const up = own.applications.all.reduce((sum, application) => sum + application.upInstances.length, 0);
  const inPeer = Object.values(peer.cache.app).reduce((sum, instances) => sum + instances.length, 0);
  if (up < INSTANCES - CHANGES || inPeer < INSTANCES - CHANGES) {
    throw new Error(`only ${up} and ${inPeer} of ${INSTANCES} instances were read`);
  }
}

function createPeer(): PeerClient {
  const silent = { error() {}, warn() {}, info() {}, debug() {}, level() {} };
  const library = createRequire(import.meta.url)('eureka-js-client') as { Eureka: new (options: unknown) => unknown };
  return new library.Eureka({
    logger: silent,
    instance: { app: 'bench', vipAddress: 'bench', port: 1, dataCenterInfo: { name: 'MyOwn' } },
    eureka: { host: '127.0.0.1', port: 1 },
  }) as PeerClient;
}

function applicationsIn(body: unknown): unknown {
  return (body as { applications: { application: unknown } }).applications.application;
}

function countRecords(delta: string): number {
  return decodeApplications(JSON.parse(delta)).applications.reduce((sum, { records }) => sum + records.length, 0);
}

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
