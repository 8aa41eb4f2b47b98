import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from '../cache.js';
import { run, which } from '../exec.js';
import { freePorts } from '../free-port.js';
import { whileShowing } from '../progress.js';
import { startServer, temporaryFolder } from '../running-server.js';
import { provideGo } from '../toolchains/go-toolchain.js';
import { goBuildFromSources } from '../toolchains/go.js';
import type { RunningServer, Settings } from '../types.js';
import { versions } from '../versions.js';
import { httpGet } from '../wait.js';
import { type Attached, type Product, type StartOptions } from './product.js';

const goModule = 'github.com/hashicorp/consul';
// go.mod replaces them by folders of the repository, which the published module does not contain.
const submodules = ['api', 'envoyextensions', 'proto-public', 'sdk', 'troubleshoot'];

interface Program {
  readonly path: string;
  readonly source: string;
}

/** The program itself, built on the first call. */
export async function program(): Promise<Program> {
  const wanted = versions.consul;
  const here = await which('consul');
  if (here && (await run(here, ['version']).catch(() => '')).startsWith(`Consul ${wanted}`)) {
    return { path: here, source: `this machine (${here})` };
  }
  const folder = await cached(`consul-${wanted}-${process.platform}-${process.arch}`, async (target) => {
    const provided = await provideGo();
    if ('reason' in provided) throw new Error(provided.reason);
    const build = goBuildFromSources(provided.go, goModule, wanted, submodules, 'consul', target);
    await whileShowing(`building consul ${wanted}, which takes minutes`, build);
  });
  return { path: join(folder, 'consul'), source: `Go module ${wanted}` };
}

type Ports = Record<'http' | 'dns' | 'rpc' | 'serfLan' | 'serfWan', number>;

function configuration(variant: string, ports: Ports, token: string | undefined, settings: Settings): object {
  return {
    node_name: 'test-node',
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    log_level: 'warn',
    disable_update_check: true,
    ports: {
      ...{ http: ports.http, dns: ports.dns, server: ports.rpc, serf_lan: ports.serfLan, serf_wan: ports.serfWan },
      ...{ grpc: -1, grpc_tls: -1 },
    },
    // Else an answer that is too long for UDP is cut without a sign.
    dns_config: { enable_truncate: true },
    limits: { http_max_conns_per_client: 10_000 },
    performance: { raft_multiplier: 1 },
    ...(variant === 'dev' ? {} : { server: true, bootstrap_expect: 1, ui_config: { enabled: true } }),
    ...(token === undefined
      ? {}
      : { acl: { enabled: true, default_policy: 'deny', tokens: { initial_management: token, agent: token } } }),
    ...settings,
  };
}

async function start({ variant, settings = {}, guard }: StartOptions): Promise<RunningServer> {
  const { path, source } = await program();
  const folder = await temporaryFolder(guard, `consul-${variant}`);
  const ports = await freePorts('http', 'dns', 'rpc', 'serfLan', 'serfWan');
  const token = variant === 'acl' ? randomUUID() : undefined;
  const config = join(folder, 'consul.json');
  const url = `http://127.0.0.1:${ports.http}`;
  const headers: Record<string, string> = token === undefined ? {} : { 'X-Consul-Token': token };
  const data = join(folder, 'data');
  return startServer(guard, folder, {
    facts: { product: 'consul', variant, source, ...(token === undefined ? {} : { token }) },
    version: async () => versionOf(url, headers),
    nodes: [
      {
        name: 'consul',
        ports,
        url,
        command: path,
        args: ['agent', ...(variant === 'dev' ? ['-dev'] : ['-data-dir', data]), '-config-file', config],
        folder,
        durable: variant !== 'dev',
        timeoutMs: 60_000,
        prepare: () => writeFile(config, JSON.stringify(configuration(variant, ports, token, settings), undefined, 2)),
        ready: () => isReady(url, headers),
      },
    ],
  });
}

/** A leader is elected, this agent has registered itself, and with ACLs the token is known. */
async function isReady(url: string, headers: Record<string, string>): Promise<boolean> {
  const leader = await httpGet(`${url}/v1/status/leader`);
  if (leader.status !== 200 || leader.text.trim() === '""') return false;
  const nodes = await httpGet(`${url}/v1/health/service/consul?passing=1`, { headers });
  return nodes.status === 200 && nodes.text.trim() !== '[]';
}

async function versionOf(url: string, headers: Record<string, string>): Promise<string> {
  const self = await httpGet(`${url}/v1/agent/self`, { headers });
  if (self.status !== 200) throw new Error(`${url}/v1/agent/self answered ${self.status} ${self.text}`);
  return (JSON.parse(self.text) as { Config: { Version: string } }).Config.Version;
}

async function attach(address: string): Promise<Attached> {
  const url = address.replace(/\/+$/, '');
  return { version: await versionOf(url, {}), urls: [url] };
}

/** The Consul agent: in dev mode (in memory), as a single durable server, or that with ACLs that deny by default. */
export const consul: Product = {
  name: 'consul',
  variable: 'CONSUL_URL',
  provision: async () => ({ available: true, source: (await program()).source }),
  start,
  attach,
};
