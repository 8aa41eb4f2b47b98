import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeProxy, RunningServer } from '../servers/types.js';
import type { BackendSpec } from './backends.js';
import type { AppOptions, Calls, Fleet } from './fleet.js';
import { springRegistry, startSpringGateway } from './spring-gateway.js';

/** What a fault happens to. */
export interface Scene {
  readonly server: RunningServer;
  /** One in front of each node; providers and caller go through them. */
  readonly proxies: readonly NodeProxy[];
  readonly fleet: Fleet;
  /** How long a fault lasts, in milliseconds. */
  readonly lastsMs: number;
  /** The server's own address, by no proxy. */
  readonly direct: BackendSpec;
  /** How long Spring's own gateway takes to hear of a change, in milliseconds. */
  readonly springNewsMs?: number;
}

/** A fault: resolves when it is over, and everybody should know everybody again. */
export interface Fault {
  readonly name: string;
  /** Part of the quick half. */
  readonly quick: boolean;
  /** Only where there are several nodes, or only where there is one. */
  readonly nodes?: 'one' | 'several';
  /** Only where the server has its data on a disk. */
  readonly needsData?: true;
  /** Only where Spring's own gateway is tried. */
  readonly behindSpring?: true;
  /** Calls that may fail, and why: those that were on the machine that died, or stood. @default none */
  readonly mayFail?: { readonly calls: number; readonly because: string };
  /** Resolves with the calls that count, where those of the fleet's caller don't. */
  happen(scene: Scene): Promise<Calls | void>;
}

async function cut(scene: Scene, begin: (proxy: NodeProxy) => unknown): Promise<void> {
  await Promise.all(scene.proxies.map((proxy) => begin(proxy)));
  await sleep(scene.lastsMs);
  await Promise.all(scene.proxies.map((proxy) => proxy.heal()));
}

type Started = Pick<AppOptions, 'helper' | 'shutdown'>;

/** Stops each, and starts another one as `next` says. */
async function rollingRestart({ fleet }: Scene, next: Partial<Started> & { readonly helper: boolean }): Promise<void> {
  for (const old of [...fleet.providers]) {
    old.signal('SIGTERM');
    const status = await old.exited;
    fleet.forget(old);
    if (next.helper && status !== 0) throw new Error(`${old.id} ended with status ${status}`);
    await fleet.add(next);
  }
}

const CALLS_A_SECOND = 20;

/** Calls an address all the time, until `during` is over. */
async function calling(url: string, during: () => Promise<void>): Promise<Calls> {
  const failed: { afterMs: number; reason: string }[] = [];
  const open = new Set<Promise<void>>();
  let sent = 0;
  const call = async (): Promise<void> => {
    sent += 1;
    const at = performance.now();
    const reason = await fetch(url).then(
      async (answer) => (answer.status === 200 ? undefined : `${answer.status} ${await answer.text()}`),
      (error: unknown) => String(error),
    );
    if (reason !== undefined) failed.push({ afterMs: Math.round(performance.now() - at), reason });
  };
  const timer = setInterval(() => {
    const one = call().finally(() => open.delete(one));
    open.add(one);
  }, 1000 / CALLS_A_SECOND);
  try {
    await during();
  } finally {
    clearInterval(timer);
  }
  await Promise.all(open);
  return { sent, failed };
}

const HOUR_MS = 3_600_000;

/** Three providers, so the one that died had a third of what was under way at 20 calls a second. */
const ON_DYING_MACHINE = 'calls that were waiting for the instance that stands end with their time-out of 5 s';

/** Every fault. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'server killed, back with its data',
    quick: true,
    needsData: true,
    async happen({ server, lastsMs }) {
      await server.stop();
      await sleep(lastsMs);
      await server.restart({ keepData: true });
    },
  },
  {
    name: 'server killed, back without its data',
    quick: true,
    async happen({ server, lastsMs }) {
      await server.stop();
      await sleep(lastsMs);
      await server.restart({ keepData: false });
    },
  },
  {
    name: 'server paused',
    quick: false,
    async happen({ server, lastsMs }) {
      server.pause();
      await sleep(lastsMs);
      server.resume();
    },
  },
  { name: 'blackholed, no reset', quick: true, happen: (scene) => cut(scene, (proxy) => proxy.blackhole()) },
  {
    name: 'answers lost (one way)',
    quick: false,
    happen: (scene) => cut(scene, (proxy) => proxy.blackhole('to-client')),
  },
  {
    name: 'half-open connections',
    quick: false,
    async happen({ proxies, lastsMs }) {
      for (const proxy of proxies) proxy.halfOpen('server');
      await sleep(lastsMs);
      await Promise.all(proxies.map((proxy) => proxy.heal({ resetHeld: true })));
    },
  },
  { name: 'refused', quick: false, happen: (scene) => cut(scene, (proxy) => proxy.drop()) },
  { name: '500 ms of delay', quick: false, happen: (scene) => cut(scene, (proxy) => proxy.delay(500)) },
  {
    name: 'one node lost',
    quick: false,
    nodes: 'several',
    async happen({ server, lastsMs }) {
      const [first] = server.nodes;
      await first?.stop();
      await sleep(lastsMs);
      await first?.restart();
    },
  },
  {
    name: 'clock 1 h forward, and back',
    quick: false,
    async happen({ fleet, lastsMs }) {
      const apps = [...fleet.providers, fleet.caller];
      for (const offsetMs of [HOUR_MS, 0, -HOUR_MS, 0]) {
        await Promise.all(apps.map((app) => app.ask('clock', { offsetMs })));
        await sleep(lastsMs / 4);
      }
    },
  },
  {
    name: 'event loop of an instance stalled',
    quick: false,
    mayFail: { calls: 60, because: ON_DYING_MACHINE },
    async happen({ fleet, lastsMs }) {
      await fleet.providers[0]?.ask('stall', { ms: lastsMs });
      await sleep(lastsMs);
    },
  },
  {
    name: 'event loop of the caller stalled',
    quick: false,
    async happen({ fleet, lastsMs }) {
      await fleet.caller.ask('stall', { ms: lastsMs });
      await sleep(lastsMs);
    },
  },
  {
    name: 'instance frozen, and back',
    quick: false,
    mayFail: { calls: 60, because: ON_DYING_MACHINE },
    async happen({ fleet, lastsMs }) {
      const [first] = fleet.providers;
      first?.signal('SIGSTOP');
      await sleep(lastsMs);
      first?.signal('SIGCONT');
    },
  },
  {
    name: 'instance killed',
    quick: true,
    async happen({ fleet }) {
      const [first] = fleet.providers;
      if (first === undefined) return;
      await first.kill();
      fleet.forget(first);
      await fleet.add();
    },
  },
  {
    name: 'rolling restart, enableGracefulShutdown',
    quick: true,
    happen: (scene) => rollingRestart(scene, { helper: true }),
  },
  {
    name: 'rolling restart, Nest’s own hooks',
    quick: false,
    async happen(scene) {
      // Once to have those that stop by Nest's hooks, once to stop them.
      await rollingRestart(scene, { helper: false });
      await rollingRestart(scene, { helper: false });
    },
  },
  {
    name: 'rolling restart behind a Spring Cloud Gateway',
    quick: false,
    behindSpring: true,
    async happen(scene) {
      const stop = { helper: true, shutdown: { propagationDelayMs: scene.springNewsMs ?? 0 } };
      // Once to have those that stop with this time, once to stop them.
      await rollingRestart(scene, stop);
      const gateway = await startSpringGateway(springRegistry(scene.direct), scene.fleet.service, '/who');
      try {
        return await calling(`http://127.0.0.1:${gateway.port}/stock/who`, () => rollingRestart(scene, stop));
      } finally {
        await gateway.close();
      }
    },
  },
];
