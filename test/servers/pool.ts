import { proxyInFrontOf } from './managed-node.js';
import { endGuardOfThisProcess, guardOfThisProcess } from './guard.js';
import { products } from './products/index.js';
import { assembleServer } from './running-server.js';
import type { NodeProxy, ProductName, Provision, RunningServer, ServerInfo, ServerNode, Settings } from './types.js';

/** A server for somebody, or why there is none. */
export type Acquired<T> =
  { readonly available: true; readonly server: T } | { readonly available: false; readonly reason: string };

/**
 * What one process knows about servers: what can be had, which of its own are shared. Every question is answered once
 * and the answer kept, the failures too: a build that failed is not tried again for each suite.
 */
export class ServerPool {
  private readonly provisions = new Map<string, Promise<Provision>>();
  private readonly shared = new Map<string, Promise<Acquired<RunningServer>>>();

  /** Whether a server of our own can be started, after building it if need be. */
  provision(product: ProductName, variant: string): Promise<Provision> {
    return remember(this.provisions, `${product}:${variant}`, async () => {
      try {
        return await products[product].provision(variant);
      } catch (error) {
        return { available: false, reason: error instanceof Error ? error.message : String(error) };
      }
    });
  }

  /** Whether the environment names a server that stands for the product's default variant. */
  hasAddress(product: ProductName): boolean {
    return Boolean(process.env[products[product].variable]);
  }

  /** A server of the caller's own; nobody else gets it. Its failure to start is an error, not unavailability. */
  async start(product: ProductName, variant: string, settings: Settings = {}): Promise<Acquired<RunningServer>> {
    const provision = await this.provision(product, variant);
    if (!provision.available) return provision;
    const { start } = products[product];
    const server = await whilePortsAreTaken(() => start({ variant, settings, guard: guardOfThisProcess() }));
    return { available: true, server };
  }

  /** The one server that everybody shares: the environment's for the default variant, else one of ours. */
  share(product: ProductName, variant: string, isDefault: boolean): Promise<Acquired<RunningServer>> {
    return remember(this.shared, `${product}:${variant}`, async () => {
      const address = isDefault ? process.env[products[product].variable] : undefined;
      if (!address) return this.start(product, variant);
      return { available: true, server: remoteServer(await describeExternal(product, variant, address)) };
    });
  }

  /** Ends everything that this process has started. */
  async end(): Promise<void> {
    this.shared.clear();
    await endGuardOfThisProcess();
  }
}

/** Between the choice of a free port and the server's bind somebody else may have taken it; then others are chosen. */
export async function whilePortsAreTaken<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (attempt >= 3 || !/address already in use|BindException|EADDRINUSE|Failed to bind/i.test(message)) throw error;
    }
  }
}

function remember<T>(map: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = map.get(key) ?? make();
  map.set(key, known);
  return known;
}

/** Asks the server that an environment variable names. */
export async function describeExternal(product: ProductName, variant: string, address: string): Promise<ServerInfo> {
  const { variable, attach } = products[product];
  const attached = await attach(address).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${variable} is set, but no ${product} answers there: ${why}`, { cause: error });
  });
  const { version, urls, ports, proxied, username, password } = attached;
  return {
    ...{ product, variant, version, source: variable, external: true },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    nodes: urls.map((url, i) => {
      const { hostname, port } = new URL(url.includes('://') ? url : `tcp://${url}`);
      return {
        name: urls.length > 1 ? `${product}-${i + 1}` : product,
        ...{ url, host: hostname, ports: ports ?? { client: Number(port) } },
        ...(proxied === undefined ? {} : { proxied }),
      };
    }),
  };
}

/** A server that runs under somebody else's care: it can be used and proxied, but not hurt. */
export function remoteServer(info: ServerInfo): RunningServer {
  const proxies: NodeProxy[] = [];
  const forbidden = (): never => {
    const why = info.external ? `the address in ${info.source}` : 'shared with other suites';
    throw new Error(`this ${info.product} is ${why}: ask for a private one to stop, pause or restart it`);
  };
  const nodes = info.nodes.map((node): ServerNode => ({
    ...node,
    stop: async () => forbidden(),
    pause: forbidden,
    resume: forbidden,
    restart: async () => forbidden(),
    proxy: async () => {
      const proxy = await proxyInFrontOf(node);
      proxies.push(proxy);
      return proxy;
    },
  }));
  const dispose = async () => void (await Promise.all(proxies.splice(0).map((proxy) => proxy.close())));
  const { nodes: _, ...facts } = info;
  return assembleServer(facts, nodes, { restart: async () => forbidden(), dispose });
}
