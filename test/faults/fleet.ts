import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendSpec } from './backends.js';

const APP = join(import.meta.dirname, 'app.mjs');

/** What a process of the fleet is told to be. */
export interface AppOptions {
  readonly role: 'provider' | 'caller' | 'observer';
  readonly backend: BackendSpec;
  readonly service: string;
  readonly instanceId?: string;
  /** `enableGracefulShutdown`, or Nest's own hooks. */
  readonly helper: boolean;
  readonly shutdown?: Readonly<Record<string, number>>;
  readonly perSecond?: number;
}

/** A snapshot, as one app sees it. */
export interface SeenList {
  readonly state: string;
  readonly ids: readonly string[];
  readonly phases: readonly string[];
  readonly reason?: string;
}

/** What a caller has done. */
export interface Calls {
  readonly sent: number;
  readonly failed: readonly { readonly afterMs: number; readonly reason: string }[];
}

/** An app in a process of its own. */
export class AppProcess {
  private readonly waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>();
  private next = 0;
  private output = '';
  readonly exited: Promise<number | null>;

  private constructor(
    readonly options: AppOptions,
    private readonly child: ChildProcess,
  ) {
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (this.output += String(chunk)));
    child.on('message', (message: { id?: number; answer?: unknown; error?: string }) => {
      const waiting = message.id === undefined ? undefined : this.waiting.get(message.id);
      if (message.id === undefined || waiting === undefined) return;
      this.waiting.delete(message.id);
      if (message.error === undefined) waiting.resolve(message.answer);
      else waiting.reject(new Error(message.error));
    });
    this.exited = once(child, 'exit').then(([code]) => {
      for (const { reject } of this.waiting.values())
        reject(new Error(`the app has ended: ${this.output.slice(-500)}`));
      this.waiting.clear();
      return code as number | null;
    });
  }

  static async start(options: AppOptions): Promise<AppProcess> {
    const child = fork(APP, [JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const app = new AppProcess(options, child);
    const started = new Promise<void>((resolve) => child.on('message', (message) => isStart(message) && resolve()));
    const failed = app.exited.then((code) => Promise.reject(new Error(`didn't start (${code}): ${app.output}`)));
    await Promise.race([started, failed]);
    failed.catch(() => {});
    return app;
  }

  get id(): string {
    return this.options.instanceId ?? this.options.role;
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  ask(ask: 'state'): Promise<{ phase?: string; reason?: string; ready: boolean; heap: number; handles: number }>;
  ask(ask: 'list'): Promise<SeenList>;
  ask(ask: 'held'): Promise<{ heap: number; handles: number }>;
  ask(ask: 'watches', more: { readonly from: number; readonly to: number }): Promise<void>;
  ask(ask: 'refresh'): Promise<void>;
  ask(ask: 'calls', more: { readonly reset: boolean }): Promise<Calls>;
  ask(ask: 'clock', more: { readonly offsetMs: number }): Promise<void>;
  ask(ask: 'stall', more: { readonly ms: number }): Promise<void>;
  ask(ask: string, more: object = {}): Promise<unknown> {
    const id = (this.next += 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, ask, ...more }, (error) => error && reject(error));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async kill(): Promise<void> {
    if (this.isAlive) this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** Three providers, a caller that calls all the time, and an observer that reaches the server by no proxy. */
export class Fleet {
  readonly providers: AppProcess[] = [];
  private generation = 0;

  private constructor(
    readonly service: string,
    private readonly provided: Omit<AppOptions, 'instanceId' | 'role'>,
    readonly caller: AppProcess,
    readonly observer: AppProcess,
  ) {}

  static async start(options: {
    readonly service: string;
    readonly behindProxy: BackendSpec;
    readonly direct: BackendSpec;
    readonly shutdown: Readonly<Record<string, number>>;
  }): Promise<Fleet> {
    const { service, behindProxy, direct, shutdown } = options;
    const common = { service, helper: true, perSecond: 20 };
    const [caller, observer] = await Promise.all([
      AppProcess.start({ ...common, role: 'caller', backend: behindProxy }),
      AppProcess.start({ ...common, role: 'observer', backend: direct }),
    ]);
    const fleet = new Fleet(service, { ...common, backend: behindProxy, shutdown }, caller, observer);
    await Promise.all([fleet.add(), fleet.add(), fleet.add()]);
    return fleet;
  }

  /** One provider more. */
  async add(different: Partial<Pick<AppOptions, 'helper' | 'shutdown'>> = {}): Promise<AppProcess> {
    this.generation += 1;
    const instanceId = `${this.service}-${this.generation}`.toLowerCase();
    const app = await AppProcess.start({ ...this.provided, ...different, role: 'provider', instanceId });
    this.providers.push(app);
    return app;
  }

  /** Forgets a provider that is gone. */
  forget(app: AppProcess): void {
    this.providers.splice(this.providers.indexOf(app), 1);
  }

  /** What keeps everybody from knowing everybody; undefined when they do. */
  async disagreement(): Promise<string | undefined> {
    const ids = this.providers.map(({ id }) => id).toSorted();
    for (const provider of this.providers) {
      const { phase, reason } = await provider.ask('state');
      if (phase !== 'registered') return `${provider.id} is ${phase} (${reason ?? 'no error'})`;
    }
    for (const app of [this.observer, this.caller]) {
      const { state, ids: seen, phases, reason } = await app.ask('list');
      const list = seen.toSorted().join(', ');
      if (state !== 'fresh') return `the ${app.id}'s list is ${state}: ${list} (${reason ?? 'no error'})`;
      if (list !== ids.join(', ')) return `the ${app.id} sees ${list || 'nobody'} instead of ${ids.join(', ')}`;
      if (phases.some((phase) => phase !== 'ready')) return `the ${app.id}'s backend is ${phases.join(', ')}`;
    }
    return undefined;
  }

  /** Waits until everybody knows everybody, for at most so long; resolves with how long it took, or why not. */
  async agreement(withinMs: number): Promise<{ readonly afterMs: number; readonly problem?: string }> {
    const began = performance.now();
    for (;;) {
      const problem = await this.disagreement();
      const afterMs = Math.round(performance.now() - began);
      if (problem === undefined) return { afterMs };
      if (afterMs > withinMs) return { afterMs, problem };
      await sleep(100);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.providers, this.caller, this.observer].map((app) => app.kill()));
  }
}

function isStart(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'started' in message;
}
