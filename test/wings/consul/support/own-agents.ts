import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lookUp } from '../../../servers/cache.js';
import { makeCertificates } from '../../../servers/certificates.js';
import { run, which } from '../../../servers/exec.js';
import { freePorts } from '../../../servers/free-port.js';
import { Guard } from '../../../servers/guard.js';
import { startServer, temporaryFolder } from '../../../servers/running-server.js';
import type { RunningServer, TlsFiles } from '../../../servers/types.js';
import { versions } from '../../../servers/versions.js';
import { ConsulClient } from '../../../../lib/backends/consul/index.js';

// One for this process: what is forgotten ends with it.
let guard: Guard | undefined;

/** Ports of one agent. */
export type AgentPorts = Record<'http' | 'server' | 'serf_lan' | 'serf_wan' | 'https', number>;

/** An agent that the shared variants don't offer: with TLS, as a client of another, in a second datacentre. */
export interface OwnAgent {
  readonly server: RunningServer;
  readonly ports: AgentPorts;
  readonly folder: string;
  readonly tls: TlsFiles | undefined;
}

/** Within `withServer('consul', …)`, which has seen to it that the program is there. */
async function program(): Promise<string> {
  const key = `consul-${versions.consul}-${process.platform}-${process.arch}`;
  const folder = await lookUp(key);
  if (folder !== undefined) return join(folder, 'consul');
  const here = await which('consul');
  if (here !== undefined && (await run(here, ['version'])).includes(versions.consul)) return here;
  throw new Error('there is no consul program');
}

/** Starts an agent with any configuration; resolves when `ready` says so. */
export async function startAgent(
  name: string,
  configure: (ports: AgentPorts, folder: string, tls: TlsFiles | undefined) => Readonly<Record<string, unknown>>,
  options: {
    readonly dev?: boolean;
    readonly certificates?: boolean;
    readonly ready?: (client: ConsulClient) => Promise<boolean>;
    readonly client?: (ports: AgentPorts, folder: string, tls: TlsFiles | undefined) => ConsulClient;
  } = {},
): Promise<OwnAgent> {
  guard ??= new Guard();
  const folder = await temporaryFolder(guard, `consul-own-${name}`);
  const ports = await freePorts('http', 'server', 'serf_lan', 'serf_wan', 'https');
  const tls = options.certificates === true ? await makeCertificates(folder) : undefined;
  const file = join(folder, 'agent.json');
  const { https: _, ...plain } = ports;
  const configuration = {
    node_name: name,
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    log_level: 'warn',
    disable_update_check: true,
    performance: { raft_multiplier: 1 },
    ports: { ...plain, dns: -1, grpc: -1, grpc_tls: -1 },
    ...configure(ports, folder, tls),
  };
  await writeFile(file, JSON.stringify(configuration));
  const connect = () => options.client?.(ports, folder, tls) ?? new ConsulClient(`127.0.0.1:${ports.http}`);
  const ready = options.ready ?? (async (one) => (await one.status.leader()) !== '');
  const dev = options.dev ?? true;
  const server = await startServer(guard, folder, {
    facts: { product: 'consul', variant: name, source: 'this test' },
    version: () => Promise.resolve(versions.consul),
    nodes: [
      {
        name,
        ports,
        url: `http://127.0.0.1:${ports.http}`,
        command: await program(),
        args: ['agent', ...(dev ? ['-dev'] : ['-data-dir', join(folder, 'data')]), '-config-file', file],
        folder,
        durable: !dev,
        timeoutMs: 60_000,
        // Asked again after a restart.
        ready: async () => {
          const client = connect();
          try {
            return await ready(client);
          } finally {
            await client.close();
          }
        },
      },
    ],
  });
  return { server, ports, folder, tls };
}
