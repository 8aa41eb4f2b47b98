import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProxyCounts } from '../../../servers/fault-proxy.js';
import type { ProxyOrder } from './proxy-process.js';

/**
 * A fault proxy in a process of its own, so that its sockets are not among the handles of the process under test: an
 * agent goes on with a blocking query whose client has left, and a proxy must hold that connection.
 */
export class RemoteProxy {
  private asked = 0;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();

  private constructor(private readonly child: ChildProcess) {
    child.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
      const waiter = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) waiter?.resolve(result);
      else waiter?.reject(new Error(error));
    });
  }

  /** The address to give to clients. */
  url = '';

  /** Opens a proxy in front of a server's URL. */
  static async open(target: string): Promise<RemoteProxy> {
    const child = fork(fileURLToPath(new URL('./proxy-process.ts', import.meta.url)), {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const proxy = new RemoteProxy(child);
    const { hostname, port } = new URL(target);
    const own = await proxy.ask({ what: 'open', host: hostname, port: Number(port) });
    proxy.url = `http://127.0.0.1:${String(own)}`;
    return proxy;
  }

  async drop(): Promise<void> {
    await this.ask({ what: 'drop' });
  }

  async heal(options: { readonly resetHeld?: boolean } = {}): Promise<void> {
    await this.ask({ what: 'heal', ...options });
  }

  async blackhole(direction: 'to-server' | 'to-client' | 'both' = 'both'): Promise<void> {
    await this.ask({ what: 'blackhole', direction });
  }

  async reset(): Promise<void> {
    await this.ask({ what: 'reset' });
  }

  async counts(): Promise<ProxyCounts> {
    return (await this.ask({ what: 'counts' })) as ProxyCounts;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill();
    await ended;
  }

  private ask(order: Omit<ProxyOrder, 'id'>): Promise<unknown> {
    const id = (this.asked += 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, ...order });
    });
  }
}
