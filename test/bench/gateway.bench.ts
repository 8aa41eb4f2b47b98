import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { download, load, upload, type LoadResult } from './gateway/load.js';
import { median, round } from './statistics.js';

const KINDS = ['ours-fastify', 'fastify-proxy', 'ours-express', 'middleware', 'middleware-agent'] as const;
type Kind = (typeof KINDS)[number];

const CONNECTIONS = 32;
const ROUNDS = 9;
const ROUND_MS = 1200;
const WARM_UP_MS = 4000;
const MB = 1024 * 1024;
const LARGE = 300 * MB;
const ROLLING = 10_000;

interface Usage {
  readonly cpu: NodeJS.CpuUsage;
  readonly rss: number;
}

interface Sample {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

/**
 * A gateway in front of a service of two instances, each in a process of its own, beside what one would take instead, in one
 * run and by turns: requests a second, and CPU of the gateway a request. Then 300 MB each way, and a rolling restart.
 */
export async function run({ json }: { readonly json: boolean }): Promise<void> {
  const services = child('gateway/upstream.mjs', ['3']);
  const gateways = new Map<Kind, { readonly process: ChildProcess; readonly port: number }>();
  try {
    const { ports } = await told<{ ports: readonly number[] }>(services);
    const [first = 0, second = 0] = ports;
    for (const kind of KINDS) {
      const process = child('gateway/proxy.mjs', [kind, String(first), String(second)]);
      gateways.set(kind, { process, port: (await told<{ port: number }>(process)).port });
    }
    const samples = await alternate(gateways);
    for (const kind of KINDS) {
      const list = samples.get(kind) ?? [];
      const perSecond = median(list.map((one) => one.perSecond));
      const cpu = median(list.map((one) => one.cpuMicros));
      process.stdout.write(
        `${kind.padEnd(17)} ${String(round(perSecond, 0)).padStart(6)} requests/s   ${round(cpu).toFixed(1).padStart(6)} µs of CPU a request\n`,
      );
    }
    // Of each round by itself: neighbours were under the same load.
    const ratio = (a: Kind, b: Kind, field: keyof Sample): number =>
      round(median((samples.get(a) ?? []).map((one, i) => one[field] / (samples.get(b)?.[i]?.[field] ?? NaN))), 2);
    const result = {
      throughputVsFastifyProxy: ratio('ours-fastify', 'fastify-proxy', 'perSecond'),
      cpuVsFastifyProxy: ratio('ours-fastify', 'fastify-proxy', 'cpuMicros'),
      throughputVsMiddleware: ratio('ours-express', 'middleware', 'perSecond'),
      cpuVsMiddleware: ratio('ours-express', 'middleware', 'cpuMicros'),
      throughputVsMiddlewareWithAgent: ratio('ours-express', 'middleware-agent', 'perSecond'),
      cpuVsMiddlewareWithAgent: ratio('ours-express', 'middleware-agent', 'cpuMicros'),
      ...(await large(gateways.get('ours-fastify'))),
      ...(await rollingRestart(services, gateways.get('ours-express'), ports)),
    };
    for (const [name, value] of Object.entries(result)) process.stdout.write(`${name.padEnd(32)} ${value}\n`);
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    for (const { process } of gateways.values()) process.disconnect();
    services.disconnect();
  }
}

type Gateway = { readonly process: ChildProcess; readonly port: number } | undefined;

async function alternate(gateways: ReadonlyMap<Kind, NonNullable<Gateway>>): Promise<Map<Kind, Sample[]>> {
  const samples = new Map<Kind, Sample[]>();
  for (const [, { port }] of gateways) await during(port, WARM_UP_MS);
  for (let roundAt = 0; roundAt < ROUNDS; roundAt += 1) {
    for (const [kind, gateway] of gateways) {
      const before = await usageOf(gateway.process);
      const { requests, failed, seconds } = await during(gateway.port, ROUND_MS);
      const after = await usageOf(gateway.process);
      // A peer that loses a request to a connection that its service has just closed is told, and goes on.
      if (failed > 0 && kind.startsWith('ours')) throw new Error(`${kind}: ${failed} of ${requests} requests failed`);
      if (failed > 0) process.stdout.write(`${kind}: ${failed} of ${requests} requests failed\n`);
      const cpu = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system;
      const list = samples.get(kind) ?? [];
      list.push({ perSecond: requests / seconds, cpuMicros: cpu / requests });
      samples.set(kind, list);
    }
  }
  return samples;
}

function during(port: number, ms: number): Promise<LoadResult> {
  const end = performance.now() + ms;
  return load(port, '/stock/quote?sku=4711', CONNECTIONS, () => performance.now() >= end);
}

/** What 300 MB each way add to a gateway's memory, at the most that is seen of it. */
async function large(gateway: Gateway): Promise<Record<string, number>> {
  if (gateway === undefined) return {};
  const before = (await usageOf(gateway.process)).rss;
  let most = before;
  let over = false;
  const watching = (async () => {
    while (!over) {
      most = Math.max(most, (await usageOf(gateway.process)).rss);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  const down = await download(gateway.port, `/stock/large?bytes=${LARGE}`);
  const up = await upload(gateway.port, '/stock/large', LARGE);
  over = true;
  await watching;
  if (down !== LARGE || up !== LARGE) throw new Error(`of ${LARGE} bytes ${down} came down and ${up} went up`);
  return { largeMemoryGrowthMB: round((most - before) / MB, 0) };
}

/** Three instances are restarted one after the other, as graceful ones are: out of the registry, then down, then a new one. */
async function rollingRestart(
  services: ChildProcess,
  gateway: Gateway,
  ports: readonly number[],
): Promise<Record<string, number>> {
  if (gateway === undefined) return {};
  const ask = async (process: ChildProcess, message: object): Promise<Record<string, number>> => {
    process.send(message);
    return told<Record<string, number>>(process);
  };
  await ask(gateway.process, { add: ports[2] });
  let sent = 0;
  const loading = load(gateway.port, '/stock/quote', CONNECTIONS, (requests) => {
    sent = requests;
    return requests >= ROLLING;
  });
  for (const [at, port] of ports.entries()) {
    while (sent < ((at + 1) * ROLLING) / (ports.length + 1)) await new Promise((resolve) => setTimeout(resolve, 1));
    await ask(gateway.process, { remove: port });
    await ask(services, { stop: port });
    const { started } = await ask(services, { start: true });
    await ask(gateway.process, { add: started });
  }
  const { requests, failed } = await loading;
  return { rollingRestartRequests: requests, rollingRestartFailed: failed };
}

async function usageOf(process: ChildProcess): Promise<Usage> {
  process.send({ usage: true });
  return told<Usage>(process);
}

function child(file: string, args: readonly string[]): ChildProcess {
  return fork(join(import.meta.dirname, file), args, { execArgv: [] });
}

async function told<T>(process: ChildProcess): Promise<T> {
  const [message] = (await once(process, 'message')) as [T];
  return message;
}
