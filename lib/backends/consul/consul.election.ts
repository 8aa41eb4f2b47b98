import { Backoff, ValueView, type Logger, type View } from '../../backend/index.js';
import { messageOf } from '../../model/index.js';
import type { ConsulClient } from './client/consul-client.js';
import type { ConsulLock, LockOptions } from './consul.lock.js';

/** Options of {@link ConsulLocks.elect}. */
export interface ElectionOptions extends Omit<LockOptions, 'waitMs' | 'signal'> {
  /** Called when this one leads; its signal aborts when it leads no more. What it throws is logged, and gives up the lead. */
  readonly onElected?: (signal: AbortSignal, lock: ConsulLock) => Promise<void> | void;
  /** Called when it leads no more. */
  readonly onLost?: () => void;
}

/** What an election needs. */
export interface ElectionParts {
  readonly client: ConsulClient;
  readonly acquire: (options: LockOptions) => Promise<ConsulLock>;
  readonly random: () => number;
  readonly logger: Logger;
  readonly onStopped: () => void;
}

/** One who stands for election until it is stopped. */
export class ConsulElection {
  private readonly leading: ValueView<boolean>;
  private readonly stopping = new AbortController();
  private readonly loop: Promise<void>;
  private lock: ConsulLock | undefined;

  constructor(
    readonly key: string,
    private readonly options: ElectionOptions,
    private readonly parts: ElectionParts,
  ) {
    this.leading = new ValueView(false, (error) =>
      parts.logger.error(`a listener of the election ${key} failed: ${messageOf(error)}`),
    );
    this.loop = Promise.resolve().then(() => this.stand());
  }

  /** Whether this one leads. */
  get isLeader(): boolean {
    return this.leading.current;
  }

  /** Whether this one leads, and those who want to hear of it. */
  get state(): View<boolean> {
    return this.leading;
  }

  /**
   * What the present leader says of itself, or undefined when nobody leads.
   * @throws ConsulError when Consul can't be asked
   */
  async leader(signal?: AbortSignal): Promise<string | undefined> {
    const [entry] = await this.parts.client.kv.get(this.key, signal === undefined ? {} : { signal });
    return entry?.Session === undefined ? undefined : entry.Value.toString('utf8');
  }

  /** Gives the lead up and stands no more. Never rejects; may be called again. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.lock?.release();
    await this.loop;
    this.leading.close();
    this.parts.onStopped();
  }

  private async stand(): Promise<void> {
    const { signal } = this.stopping;
    const { client, acquire, random, logger } = this.parts;
    const { onElected: _, onLost: __, ...lockOptions } = this.options;
    const backoff = new Backoff({ clock: client.clock, maxMs: 10_000, random });
    while (!signal.aborted) {
      try {
        const lock = await acquire({ ...lockOptions, signal });
        backoff.reset();
        await this.lead(lock);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn(`standing for ${this.key} failed and is tried again: ${messageOf(error)}`);
        await backoff.wait(signal);
      }
    }
  }

  private async lead(lock: ConsulLock): Promise<void> {
    const { signal } = this.stopping;
    this.lock = lock;
    const over = AbortSignal.any([lock.signal, signal]);
    try {
      if (over.aborted) return;
      this.leading.set(true);
      const ended = new Promise<void>((resolve) => over.addEventListener('abort', () => resolve(), { once: true }));
      // What the leader does may end by itself: it leads on until the lead is lost or given up.
      await Promise.race([ended, this.work(over, lock)]);
    } finally {
      this.lock = undefined;
      await lock.release();
      if (this.leading.current) {
        this.leading.set(false);
        this.tellLost();
      }
    }
  }

  private async work(over: AbortSignal, lock: ConsulLock): Promise<never> {
    await this.options.onElected?.(over, lock);
    return new Promise<never>(() => {});
  }

  private tellLost(): void {
    try {
      this.options.onLost?.();
    } catch (error) {
      this.parts.logger.error(`onLost of the election ${this.key} failed: ${messageOf(error)}`);
    }
  }
}
