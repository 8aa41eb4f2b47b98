import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** How a server ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** What the guard is asked to run. */
export interface SpawnRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** File that gets stdout and stderr. */
  readonly log: string;
}

/** A process that the guard runs. */
export interface GuardedProcess {
  readonly pid: number;
  /** Settles with the end; on its own it does not keep this process alive. */
  readonly exited: Promise<Exit>;
  /** Waits for the end, and keeps this process alive meanwhile. */
  waitForExit(): Promise<Exit>;
}

interface Reply {
  readonly id?: number;
  readonly pid?: number;
  readonly error?: string;
  readonly exited?: number;
  readonly code?: number | null;
  readonly signal?: string | null;
}

/**
 * The owner's side of `guard-process.mjs`. All servers are the guard's children, so they end, and their folders go, when
 * this process ends, however it ends. An idle guard does not keep this process alive.
 */
export class Guard {
  private readonly child: ChildProcess;
  private readonly replies = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>();
  private readonly exits = new Map<number, (exit: Exit) => void>();
  private lastId = 0;
  private holds = 0;

  constructor() {
    const script = fileURLToPath(new URL('./guard-process.mjs', import.meta.url));
    this.child = spawn(process.execPath, [script], {
      detached: true, // a signal to our process group must not reach it
      // No stderr of ours: after `up` the guard lives on, and whoever reads our output to its end would wait for it.
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.child.on('error', (error) => this.fail(error));
    this.child.on('exit', () => this.fail(new Error('the guard of the test servers has ended')));
    this.child.stdin?.on('error', () => undefined);
    if (this.child.stdout) createInterface({ input: this.child.stdout }).on('line', (line) => this.hear(line));
    this.setHold(false);
  }

  /** The guard's own process. */
  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the guard of the test servers did not start');
    return this.child.pid;
  }

  /** Starts a process in a group of its own. */
  async spawn(request: SpawnRequest): Promise<GuardedProcess> {
    const { pid } = await this.ask({ type: 'spawn', ...request });
    if (pid === undefined) throw new Error(`${request.command} did not start`);
    const exited = new Promise<Exit>((resolve) => this.exits.set(pid, resolve));
    return { pid, exited, waitForExit: () => this.whileHeld(exited) };
  }

  /** Has the folder removed at the end. */
  async watchFolder(path: string): Promise<void> {
    await this.ask({ type: 'folder', path });
  }

  /** Removes the folder now. */
  async removeFolder(path: string): Promise<void> {
    await this.ask({ type: 'forget', path });
  }

  /** From now on the servers outlive this process; a SIGTERM to {@link pid} ends them. */
  async keep(): Promise<void> {
    await this.ask({ type: 'keep' });
  }

  /** Kills everything, removes every folder, and ends the guard. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await this.whileHeld(gone);
  }

  private ask(request: { type: string } & Record<string, unknown>): Promise<Reply> {
    const id = ++this.lastId;
    const reply = new Promise<Reply>((resolve, reject) => {
      this.replies.set(id, { resolve, reject });
      this.child.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    });
    return this.whileHeld(reply);
  }

  private hear(line: string): void {
    const reply = JSON.parse(line) as Reply;
    if (reply.exited !== undefined) {
      // A process can end before its `spawn` answer was taken up: the map is filled in the microtask in between.
      setImmediate(() => {
        this.exits.get(reply.exited ?? 0)?.({ code: reply.code ?? null, signal: reply.signal ?? null });
        this.exits.delete(reply.exited ?? 0);
      });
      return;
    }
    const waiting = this.replies.get(reply.id ?? 0);
    this.replies.delete(reply.id ?? 0);
    if (reply.error === undefined) waiting?.resolve(reply);
    else waiting?.reject(new Error(reply.error));
  }

  private fail(error: Error): void {
    for (const waiting of this.replies.values()) waiting.reject(error);
    this.replies.clear();
    for (const resolve of this.exits.values()) resolve({ code: null, signal: 'SIGKILL' });
    this.exits.clear();
  }

  /** The pipes keep this process alive while something is awaited from the guard, else they don't. */
  private async whileHeld<T>(work: Promise<T>): Promise<T> {
    this.setHold(++this.holds > 0);
    try {
      return await work;
    } finally {
      this.setHold(--this.holds > 0);
    }
  }

  private setHold(held: boolean): void {
    const pipes = [this.child.stdin, this.child.stdout] as unknown as readonly Partial<Socket>[];
    for (const handle of [this.child, ...pipes]) {
      if (held) handle.ref?.();
      else handle.unref?.();
    }
  }
}

let shared: Guard | undefined;

/** The one guard of this process, started when first needed. */
export function guardOfThisProcess(): Guard {
  shared ??= new Guard();
  return shared;
}

/** Ends the guard of this process, if there is one, and with it all of its servers. */
export async function endGuardOfThisProcess(): Promise<void> {
  const ending = shared;
  shared = undefined;
  await ending?.end();
}
