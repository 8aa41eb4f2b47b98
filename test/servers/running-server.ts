import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Guard } from './guard.js';
import { ManagedNode, type NodeSpec } from './managed-node.js';
import type { NodeInfo, RestartOptions, RunningServer, ServerInfo, ServerNode } from './types.js';

/** What a product needs to start a server. */
export interface ServerPlan {
  readonly facts: Omit<ServerInfo, 'nodes' | 'version' | 'external'>;
  readonly nodes: readonly NodeSpec[];
  /** Asks the running server for its version. */
  version(): Promise<string>;
}

/** Makes a temporary folder that the guard removes at the latest when this process ends. */
export async function temporaryFolder(guard: Guard, label: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `nsd-${label.replaceAll(/[^\w.]+/g, '-')}-`));
  await guard.watchFolder(folder);
  return folder;
}

/** Starts all nodes of a plan and waits until all of them serve; on failure nothing stays behind. */
export async function startServer(guard: Guard, folder: string, plan: ServerPlan): Promise<RunningServer> {
  const nodes = plan.nodes.map((spec) => new ManagedNode(spec, guard));
  const dispose = async () => {
    await Promise.all(nodes.map((node) => node.closeProxies()));
    await Promise.all(nodes.map((node) => node.stop()));
    await guard.removeFolder(folder);
  };
  const restart = async (options: RestartOptions = {}) => {
    await Promise.all(nodes.map((node) => node.stop()));
    await Promise.all(nodes.map((node) => node.applyKeepData(options)));
    await startAll(nodes);
  };
  try {
    await startAll(nodes);
    const facts = { ...plan.facts, version: await plan.version(), external: false };
    return assembleServer(facts, nodes, { restart, dispose });
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function startAll(nodes: readonly ManagedNode[]): Promise<void> {
  // Together: the members of an ensemble are ready only when they have found each other.
  await Promise.all(nodes.map((node) => node.launch()));
  await Promise.all(nodes.map((node) => node.whenReady()));
}

/** Makes the object that tests hold, from a server's nodes. */
export function assembleServer(
  facts: Omit<ServerInfo, 'nodes'>,
  nodes: readonly ServerNode[],
  lifecycle: Pick<RunningServer, 'restart' | 'dispose'>,
): RunningServer {
  const [first] = nodes;
  const port = first && Object.values(first.ports)[0];
  if (!first || port === undefined) throw new Error(`${facts.product} has no node or no port`);
  return {
    ...facts,
    ...lifecycle,
    name: `${facts.product}:${facts.variant}`,
    nodes,
    url: first.url,
    urls: nodes.map((node) => node.url),
    host: first.host,
    port,
    ports: first.ports,
    dataDir: first.dataDir,
    get pid() {
      return first.pid;
    },
    stop: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
    pause: () => nodes.forEach((node) => node.pause()),
    resume: () => nodes.forEach((node) => node.resume()),
    proxy: () => first.proxy(),
    describe: () => ({ ...facts, nodes: nodes.map(infoOf) }),
  };
}

function infoOf(node: ServerNode): NodeInfo {
  const { name, url, host, ports, proxied, pid, dataDir, logFile } = node;
  return {
    ...{ name, url, host, ports },
    ...(proxied === undefined ? {} : { proxied }),
    ...(pid === undefined ? {} : { pid }),
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(logFile === undefined ? {} : { logFile }),
  };
}
