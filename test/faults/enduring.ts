import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerPool } from '../servers/pool.js';
import type { ProductName, RunningServer, Settings } from '../servers/types.js';
import { BACKENDS, type BackendSpec, type FaultedBackend } from './backends.js';

/** A backend that an app uses for long, and what it may lose meanwhile. */
export interface EnduringBackend {
  readonly name: string;
  /** Within this time after a loss the app is registered again, in milliseconds. */
  readonly recoveryMs: number;
  start(pool: ServerPool): Promise<StartedBackend>;
}

/** Its server, or what stands for one. */
export interface StartedBackend {
  readonly spec: BackendSpec;
  /** What the app can be there: where nobody registers, it looks. */
  readonly role: 'provider' | 'observer';
  /** Takes away what the app has of it, and lets it come back. */
  lose(): Promise<void>;
  dispose(): Promise<void>;
}

/** Longer than a reading of DNS waits. */
const SILENCE_MS = 400;

/** Those of the fault suite, whose connections are cut; the folder of this machine, which is deleted; DNS, which falls silent. */
export const ENDURING: readonly EnduringBackend[] = [
  ...BACKENDS.map(withConnections),
  { name: 'local', recoveryMs: 60_000, start: inFolder },
  { name: 'dns', recoveryMs: 60_000, start: byDatagrams },
];

function withConnections(backend: FaultedBackend): EnduringBackend {
  const { name, recoveryMs } = backend;
  return {
    name,
    recoveryMs,
    async start(pool) {
      const server = await serverOf(pool, backend.product, backend.variant, backend.settings);
      const proxies = await Promise.all(server.nodes.map((node) => node.proxy()));
      return {
        spec: backend.spec(server, proxies),
        role: 'provider',
        lose: async () => {
          await Promise.all(proxies.map((proxy) => proxy.drop()));
          await Promise.all(proxies.map((proxy) => proxy.heal()));
        },
        dispose: () => server.dispose(),
      };
    },
  };
}

async function inFolder(): Promise<StartedBackend> {
  const parent = await mkdtemp(join(tmpdir(), 'endurance-'));
  const folder = join(parent, 'meeting');
  return {
    spec: { product: 'local', options: { directory: folder } },
    role: 'provider',
    lose: () => rm(folder, { recursive: true, force: true, maxRetries: 20 }),
    dispose: () => rm(parent, { recursive: true, force: true, maxRetries: 20 }),
  };
}

async function byDatagrams(pool: ServerPool): Promise<StartedBackend> {
  const server = await serverOf(pool, 'consul', 'dev');
  const relay = await datagramRelay(server.ports['dns'] ?? 0);
  return {
    spec: {
      product: 'dns',
      options: { servers: [`127.0.0.1:${relay.port}`], pattern: '{service}.service.consul', timeoutMs: SILENCE_MS / 2 },
    },
    role: 'observer',
    lose: async () => {
      relay.isSilent = true;
      await sleep(SILENCE_MS);
      relay.isSilent = false;
    },
    dispose: async () => {
      relay.close();
      await server.dispose();
    },
  };
}

async function serverOf(
  pool: ServerPool,
  product: ProductName,
  variant: string,
  settings?: Settings,
): Promise<RunningServer> {
  const acquired = await pool.start(product, variant, settings);
  if (!acquired.available) throw new Error(`${product}: ${acquired.reason}`);
  return acquired.server;
}

/** Passes datagrams on to a port of this machine and back, unless it is told to swallow them. */
async function datagramRelay(to: number) {
  const front = createSocket('udp4');
  const relay = {
    port: 0,
    isSilent: false,
    close: () => void front.close(),
  };
  front.on('message', (question, { port: from }) => {
    if (relay.isSilent) return;
    const back: Socket = createSocket('udp4');
    // What is never answered isn't waited for.
    const end = setTimeout(() => back.close(), SILENCE_MS);
    back.once('message', (answer) => {
      clearTimeout(end);
      back.close();
      front.send(answer, from, '127.0.0.1');
    });
    back.send(question, to, '127.0.0.1');
  });
  await once(front.bind(0, '127.0.0.1'), 'listening');
  relay.port = front.address().port;
  return relay;
}
