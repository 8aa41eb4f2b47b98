import { ServerPool } from '../servers/pool.js';
import type { FaultedBackend } from './backends.js';
import type { Fault, Scene } from './faults.js';
import { Fleet, type Calls } from './fleet.js';

/** How one backend stood one fault. */
export interface Cell {
  readonly backend: string;
  readonly fault: string;
  readonly held: boolean;
  readonly calls: number;
  readonly failedCalls: number;
  /** From the end of the fault until everybody knew everybody, in milliseconds. */
  readonly recoveryMs: number;
  /** Why it didn't hold, or why the calls that failed could. */
  readonly note?: string;
}

/** What is tried. */
export interface SuiteOptions {
  /** Shorter faults: what must be seen to the end of a lease takes longer. */
  readonly lastsMs: number;
  /** With the options of the quick half. */
  readonly quick?: boolean;
  /** Told of every cell as it ends. */
  readonly onCell?: (cell: Cell) => void;
}

/** How long an app that stops serves on, where its news takes no longer, in milliseconds. */
const QUICK_NEWS_MS = 3000;

const pool = new ServerPool();

/** Ends every server that was started. */
export function endServers(): Promise<void> {
  return pool.end();
}

/** Why there is no server for a backend; undefined when there is one. */
export async function whyUnavailable({ product, variant }: FaultedBackend): Promise<string | undefined> {
  const provision = await pool.provision(product, variant);
  return provision.available ? undefined : provision.reason;
}

/** Tries the faults on a backend, one after the other, on one server and with one fleet of apps. */
export async function tryFaults(
  given: FaultedBackend,
  faults: readonly Fault[],
  options: SuiteOptions,
): Promise<readonly Cell[]> {
  const backend = options.quick === true ? quickened(given) : given;
  const acquired = await pool.start(backend.product, backend.variant, backend.settings);
  if (!acquired.available) throw new Error(`${backend.name}: ${acquired.reason}`);
  const { server } = acquired;
  const cells: Cell[] = [];
  const proxies = await Promise.all(server.nodes.map((node) => node.proxy()));
  const direct = backend.spec(
    server,
    server.nodes.map(({ url, ports }) => ({ url, port: Object.values(ports)[0] ?? 0 })),
  );
  const fleet = await Fleet.start({
    service: `FAULTS-${process.pid}`,
    behindProxy: backend.spec(server, proxies),
    direct,
    shutdown: { propagationDelayMs: options.quick === true ? QUICK_NEWS_MS : (given.newsMs ?? QUICK_NEWS_MS) },
  });
  try {
    for (const fault of faultsFor(backend, faults)) {
      const cell = await tryFault(backend, fault, {
        server,
        proxies,
        fleet,
        lastsMs: options.lastsMs,
        direct,
        ...(given.springNewsMs === undefined ? {} : { springNewsMs: given.springNewsMs }),
      });
      cells.push(cell);
      options.onCell?.(cell);
    }
  } finally {
    await fleet.close();
    await server.dispose();
  }
  return cells;
}

function quickened(backend: FaultedBackend): FaultedBackend {
  const { quickly } = backend;
  if (quickly === undefined) return backend;
  const spec: FaultedBackend['spec'] = (server, addresses) => {
    const { options, ...rest } = backend.spec(server, addresses);
    return { ...rest, options: { ...options, ...quickly.options } };
  };
  return { ...backend, spec, leaseMs: quickly.leaseMs };
}

/** Those that can happen to a backend. */
export function faultsFor(
  { nodes, keepsData, springNewsMs }: FaultedBackend,
  faults: readonly Fault[],
): readonly Fault[] {
  return faults.filter((fault) => {
    const fits = fault.nodes === undefined || (fault.nodes === 'one') === (nodes === 1);
    if (fault.behindSpring === true && springNewsMs === undefined) return false;
    return fits && (keepsData || fault.needsData !== true);
  });
}

async function tryFault(backend: FaultedBackend, fault: Fault, scene: Scene): Promise<Cell> {
  const { fleet } = scene;
  const cellOf = (rest: Omit<Cell, 'backend' | 'fault'>): Cell => ({
    backend: backend.name,
    fault: fault.name,
    ...rest,
  });
  const before = await fleet.agreement(backend.recoveryMs + backend.leaseMs);
  if (before.problem !== undefined) {
    return cellOf({
      held: false,
      calls: 0,
      failedCalls: 0,
      recoveryMs: 0,
      note: `before the fault: ${before.problem}`,
    });
  }
  await fleet.caller.ask('calls', { reset: true });
  let note: string | undefined;
  let counted: Calls | void = undefined;
  try {
    counted = await fault.happen(scene);
  } catch (error) {
    note = `the fault could not be made: ${String(error)}`;
  }
  // Records of those that died may stay as long as their lease.
  const { afterMs, problem } = await fleet.agreement(backend.recoveryMs + backend.leaseMs);
  const own = await fleet.caller.ask('calls', { reset: true });
  const { sent, failed } = counted ?? own;
  const mayFail = fault.mayFail?.calls ?? 0;
  note ??= problem ?? (failed.length > mayFail ? failed[0]?.reason : undefined);
  const held = note === undefined;
  if (held && failed.length > 0) note = fault.mayFail?.because;
  return cellOf({
    held,
    calls: sent,
    failedCalls: failed.length,
    recoveryMs: afterMs,
    ...(note === undefined ? {} : { note }),
  });
}
