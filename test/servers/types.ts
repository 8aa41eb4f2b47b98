import type { FaultProxy } from './fault-proxy.js';

/** The products that can be brought up. */
export const productNames = ['nats', 'zookeeper', 'consul', 'eureka', 'nacos'] as const;

/** One of {@link productNames}. */
export type ProductName = (typeof productNames)[number];

/** The ways in which each product can be started; the first one of a list is the default. */
export const variants = {
  nats: ['current', '2.9', 'token', 'tls'],
  zookeeper: ['single', 'ensemble', 'tls'],
  consul: ['dev', 'server', 'acl'],
  eureka: ['single', 'peers', 'auth'],
  nacos: ['auth', 'open', '3'],
} as const satisfies Record<ProductName, readonly [string, ...string[]]>;

/** The variants of one product. */
export type Variant<P extends ProductName = ProductName> = (typeof variants)[P][number];

/** Where a server's program was found, or why it can't be had. */
export type Provision =
  { readonly available: true; readonly source: string } | { readonly available: false; readonly reason: string };

/** What {@link ServerNode.restart} may be told. */
export interface RestartOptions {
  /**
   * Whether the data folder survives. Asking to keep what lives in memory only (Consul's dev mode, Eureka) is an error.
   * @default true where the server has data on disk, else false
   */
  readonly keepData?: boolean;
}

/** Certificates of a server that speaks TLS, as files and as text. */
export interface TlsFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** What describes one process of a server; plain data, safe to print and to send to another process. */
export interface NodeInfo {
  readonly name: string;
  readonly url: string;
  /** Ports by role; the first is the one that clients connect to. */
  readonly ports: Readonly<Record<string, number>>;
  /** Roles that a proxy has to stand in for, with each port's distance from the first; by default only the first. */
  readonly proxied?: Readonly<Record<string, number>>;
  readonly host: string;
  /** Undefined for a server that somebody else started. */
  readonly pid?: number;
  readonly dataDir?: string;
  readonly logFile?: string;
}

/** What describes a running server; plain data. A server of several processes lists each in `nodes`. */
export interface ServerInfo {
  readonly product: ProductName;
  readonly variant: string;
  /** What the server itself reports where it can be asked, else the version that was built. */
  readonly version: string;
  /** The environment variable, the machine, the cache or the tool that it came from. */
  readonly source: string;
  readonly external: boolean;
  readonly username?: string;
  readonly password?: string;
  readonly token?: string;
  readonly tls?: TlsFiles;
  readonly nodes: readonly NodeInfo[];
}

/** One process of a server, with the means to hurt it. */
export interface ServerNode extends NodeInfo {
  /** SIGKILL, and wait until the process is gone. Ports and folder stay reserved for {@link restart}. */
  stop(): Promise<void>;
  /** SIGSTOP: the kernel still accepts connections, nothing answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Stop if need be, start again on the same ports, wait until it is ready. */
  restart(options?: RestartOptions): Promise<void>;
  /** A TCP proxy in front of this node; closed together with the server. */
  proxy(): Promise<NodeProxy>;
}

/** A fault proxy that knows the address under which a client reaches the server through it. */
export interface NodeProxy extends FaultProxy {
  readonly url: string;
}

/** A server under test. Its own lifecycle methods act on all of its nodes. */
export interface RunningServer extends Omit<ServerInfo, 'nodes'> {
  readonly name: string;
  readonly nodes: readonly ServerNode[];
  /** The first node's. */
  readonly url: string;
  readonly urls: readonly string[];
  readonly host: string;
  /** The first node's. */
  readonly port: number;
  readonly ports: Readonly<Record<string, number>>;
  readonly pid: number | undefined;
  readonly dataDir: string | undefined;
  stop(): Promise<void>;
  pause(): void;
  resume(): void;
  restart(options?: RestartOptions): Promise<void>;
  /** A proxy in front of the first node. */
  proxy(): Promise<NodeProxy>;
  /** End it for good: processes killed, proxies closed, folder removed. */
  dispose(): Promise<void>;
  /** The plain data of this server. */
  describe(): ServerInfo;
}

/** Product-specific settings: Spring properties, zoo.cfg keys, Consul's HCL lines, nats.conf lines. */
export type Settings = Readonly<Record<string, string | number | boolean>>;
