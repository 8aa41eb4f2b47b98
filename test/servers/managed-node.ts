import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createFaultProxy } from './fault-proxy.js';
import type { Guard, GuardedProcess } from './guard.js';
import type { NodeInfo, NodeProxy, RestartOptions, ServerNode } from './types.js';
import { waitFor } from './wait.js';

/** How one process of a server is run. */
export interface NodeSpec {
  readonly name: string;
  /** Ports by role; the first one is the clients'. */
  readonly ports: Readonly<Record<string, number>>;
  /** The clients' address; it contains `:` and the first port. */
  readonly url: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** This node's own temporary folder; what the server stores goes to `data` within. */
  readonly folder: string;
  /** Whether a restart finds its data again. */
  readonly durable: boolean;
  /** Roles that a proxy has to stand in for, with the port's distance from the first; only the first by default. */
  readonly proxied?: Readonly<Record<string, number>>;
  readonly timeoutMs: number;
  /** Called before every start, with the data folder in place. */
  prepare?(dataDir: string): Promise<void>;
  /** Whether it serves. May throw for "not yet". */
  ready(): Promise<boolean>;
  /** Called when it is ready; `fresh` says that its data folder was empty before. */
  afterReady?(fresh: boolean): Promise<void>;
}

/** A server process that the guard runs for us. */
export class ManagedNode implements ServerNode {
  readonly name: string;
  readonly host = '127.0.0.1';
  readonly ports: Readonly<Record<string, number>>;
  readonly url: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly proxied?: Readonly<Record<string, number>>;
  private process: GuardedProcess | undefined;
  private exited = false;
  private fresh = true;
  private readonly proxies: NodeProxy[] = [];

  constructor(
    private readonly spec: NodeSpec,
    private readonly guard: Guard,
  ) {
    this.name = spec.name;
    this.ports = spec.ports;
    this.url = spec.url;
    this.dataDir = join(spec.folder, 'data');
    this.logFile = join(spec.folder, 'server.log');
    if (spec.proxied) this.proxied = spec.proxied;
  }

  /** The port that clients connect to. */
  get port(): number {
    const first = Object.values(this.ports)[0];
    if (first === undefined) throw new Error(`${this.name} has no port`);
    return first;
  }

  /** The process as it runs now, or as it last ran. */
  get pid(): number {
    if (!this.process) throw new Error(`${this.name} was never started`);
    return this.process.pid;
  }

  /** Starts the process, without waiting until it serves. */
  async launch(): Promise<void> {
    const { spec } = this;
    await mkdir(this.dataDir, { recursive: true });
    await mkdir(join(spec.folder, 'tmp'), { recursive: true });
    await spec.prepare?.(this.dataDir);
    const started = await this.guard.spawn({
      command: spec.command,
      args: spec.args,
      env: { ...process.env, TMPDIR: join(spec.folder, 'tmp'), ...spec.env },
      cwd: spec.folder,
      log: this.logFile,
    });
    this.process = started;
    this.exited = false;
    void started.exited.then(() => {
      if (this.process === started) this.exited = true;
    });
  }

  /** Resolves when the server serves; rejects with the end of its log when it ends first or takes too long. */
  async whenReady(): Promise<void> {
    const started = this.process;
    if (!started) throw new Error(`${this.name} was never started`);
    try {
      await waitFor(() => this.spec.ready(), {
        what: `${this.name} becomes ready`,
        timeoutMs: this.spec.timeoutMs,
        unless: started.exited.then((exit) => {
          throw new Error(`${this.name} ended with ${exit.signal ?? `code ${exit.code}`} before it was ready`);
        }),
      });
      await this.spec.afterReady?.(this.fresh);
      this.fresh = false;
    } catch (error) {
      const log = await readFile(this.logFile, 'utf8').catch(() => '');
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`${message}\n--- end of its log ---\n${log.split('\n').slice(-40).join('\n')}`, { cause: error });
    }
  }

  async stop(): Promise<void> {
    if (!this.process || this.exited) return;
    this.signal('SIGKILL');
    await this.process.waitForExit();
    this.exited = true;
  }

  pause(): void {
    this.signal('SIGSTOP');
    waitUntilStopped(this.pid);
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  async restart(options: RestartOptions = {}): Promise<void> {
    await this.stop();
    await this.applyKeepData(options);
    await this.launch();
    await this.whenReady();
  }

  /** Empties the data folder unless it is to be kept; the node must be stopped. */
  async applyKeepData({ keepData = this.spec.durable }: RestartOptions): Promise<void> {
    if (keepData) {
      if (!this.spec.durable) throw new Error(`${this.name} holds its data in memory: there is nothing to keep`);
      return;
    }
    this.fresh = true;
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 10 });
  }

  async proxy(): Promise<NodeProxy> {
    const proxy = await proxyInFrontOf(this);
    this.proxies.push(proxy);
    return proxy;
  }

  async closeProxies(): Promise<void> {
    await Promise.all(this.proxies.splice(0).map((proxy) => proxy.close()));
  }

  private signal(signal: NodeJS.Signals): void {
    if (!this.process || this.exited) throw new Error(`${this.name} is not running`);
    // The whole group: a server may have children.
    process.kill(-this.process.pid, signal);
  }
}

/** Puts a fault proxy in front of a node; its further ports keep their distance from the first one. */
export async function proxyInFrontOf(node: NodeInfo): Promise<NodeProxy> {
  const [first] = Object.entries(node.ports);
  if (!first) throw new Error('a node without a port cannot be proxied');
  const [role, port] = first;
  const proxy = await createFaultProxy(
    Object.entries(node.proxied ?? { [role]: 0 }).map(([name, offset]) => ({
      name,
      host: node.host,
      port: port + offset,
      offset,
    })),
  );
  return Object.assign(proxy, { url: node.url.replaceAll(`:${port}`, `:${proxy.port}`) });
}

/**
 * A signal is only noted for a process; on a busy machine its threads run on for a while, and would answer the next
 * request. Where the kernel tells (Linux), this waits until each thread has stopped: milliseconds.
 */
function waitUntilStopped(pid: number): void {
  if (process.platform !== 'linux') return;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const isStopped = (thread: string) =>
    /^\d+ \(.*\) [Tt] /s.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8'));
  for (let i = 0; i < 2_000; i++) {
    try {
      if (readdirSync(`/proc/${pid}/task`).every(isStopped)) return;
    } catch {
      // A thread ended while it was looked at.
    }
    Atomics.wait(clock, 0, 0, 1);
  }
  throw new Error(`process ${pid} does not stop`);
}
