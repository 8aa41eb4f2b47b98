import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeProxy, RunningServer } from '../servers/types.js';
import type { Fleet } from './fleet.js';

/** What a fault happens to. */
export interface Scene {
  readonly server: RunningServer;
  /** One in front of each node; providers and caller go through them. */
  readonly proxies: readonly NodeProxy[];
  readonly fleet: Fleet;
  /** How long a fault lasts, in milliseconds. */
  readonly lastsMs: number;
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
  /** Calls that may fail, and why: those that were on the machine that died, or stood. @default none */
  readonly mayFail?: { readonly calls: number; readonly because: string };
  happen(scene: Scene): Promise<void>;
}

async function cut(scene: Scene, begin: (proxy: NodeProxy) => unknown): Promise<void> {
  await Promise.all(scene.proxies.map((proxy) => begin(proxy)));
  await sleep(scene.lastsMs);
  await Promise.all(scene.proxies.map((proxy) => proxy.heal()));
}

async function rollingRestart({ fleet }: Scene, helper: boolean): Promise<void> {
  for (const old of [...fleet.providers]) {
    old.signal('SIGTERM');
    const status = await old.exited;
    fleet.forget(old);
    if (helper && status !== 0) throw new Error(`${old.id} ended with status ${status}`);
    await fleet.add(helper);
  }
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
  { name: 'rolling restart, enableGracefulShutdown', quick: true, happen: (scene) => rollingRestart(scene, true) },
  {
    name: 'rolling restart, Nest’s own hooks',
    quick: false,
    async happen(scene) {
      // Once to have those that stop by Nest's hooks, once to stop them.
      await rollingRestart(scene, false);
      await rollingRestart(scene, false);
    },
  },
];
