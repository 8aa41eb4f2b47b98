import { hostname } from 'node:os';
import {
  abandonOnAbort,
  Backoff,
  checkOptions,
  anything,
  milliseconds,
  numberBetween,
  silentLogger,
  singleLine,
  type Logger,
  type Watch,
} from '../../backend/index.js';
import { DiscoveryError, toDiscoveryError } from '../../model/index.js';
import type { ConsulClient } from './client/consul-client.js';
import { isConsulError } from './client/errors.js';
import type { KVEntry } from './client/kv-entry.js';
import type { ConsulMeta } from './client/meta.js';
import { keyPath } from './client/values.js';
import { ConsulElection, type ElectionOptions } from './consul.election.js';
import { ConsulLock, HeldSession, LEAST_SESSION_MS, type LockOptions } from './consul.lock.js';

/** Options of {@link ConsulLocks}. */
export interface ConsulLocksOptions {
  /** @default Math.random */
  readonly random?: () => number;
  /** @default none */
  readonly logger?: Logger;
}

/**
 * Locks and leader elections on Consul's sessions.
 *
 * ```ts
 * await locks.using('locks/invoices', async (signal) => { … }, { waitMs: 5000 });
 * ```
 */
export class ConsulLocks {
  private readonly random: () => number;
  private readonly logger: Logger;
  private readonly closing = new AbortController();
  private readonly open = new Set<() => Promise<unknown>>();
  /** Those who wait for a lock; each ends its session when it gives up. */
  private readonly waiting = new Set<Promise<unknown>>();

  constructor(
    private readonly client: ConsulClient,
    options: ConsulLocksOptions = {},
  ) {
    this.random = options.random ?? Math.random;
    this.logger = singleLine(options.logger ?? silentLogger);
  }

  /**
   * Waits for a lock and holds it until it is released or lost.
   *
   * @throws DiscoveryError `TIMEOUT` when it isn't free within `waitMs`; `ABORTED`; `BACKEND_CLOSED`;
   * `BACKEND_UNAVAILABLE` and `BACKEND_REFUSED` when no session can be had
   */
  async acquire(key: string, options: LockOptions = {}): Promise<ConsulLock> {
    checkLockOptions('acquire()', options);
    keyPath(key);
    const { clock } = this.client;
    const waiting = new AbortController();
    const giveUp = (error: DiscoveryError): void => waiting.abort(error);
    const onAbort = (): void => giveUp(new DiscoveryError('ABORTED', `waiting for the lock ${key} was aborted`));
    const onClose = (): void => giveUp(this.closedError());
    const { waitMs, signal } = options;
    if (signal?.aborted === true) onAbort();
    if (this.closing.signal.aborted) onClose();
    waiting.signal.throwIfAborted();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.closing.signal.addEventListener('abort', onClose, { once: true });
    const timer =
      waitMs === undefined || waitMs === 0
        ? undefined
        : clock.setTimer(() => giveUp(this.notFree(key, waitMs)), waitMs);
    const acquiring = this.acquireUntil(key, options, waiting.signal);
    this.waiting.add(acquiring);
    try {
      return await acquiring;
    } catch (error) {
      throw waiting.signal.aborted ? waiting.signal.reason : error;
    } finally {
      this.waiting.delete(acquiring);
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
      this.closing.signal.removeEventListener('abort', onClose);
    }
  }

  /** As `acquire`, without waiting; undefined when another holds it. */
  async tryAcquire(key: string, options: Omit<LockOptions, 'waitMs'> = {}): Promise<ConsulLock | undefined> {
    try {
      return await this.acquire(key, { ...options, waitMs: 0 });
    } catch (error) {
      if (error instanceof DiscoveryError && error.code === 'TIMEOUT') return undefined;
      throw error;
    }
  }

  /**
   * Does something while it holds a lock, and gives the lock back whatever happens.
   *
   * @param work its signal aborts when the lock is lost
   * @throws as `acquire`, and whatever `work` throws
   */
  async using<T>(
    key: string,
    work: (signal: AbortSignal, lock: ConsulLock) => Promise<T>,
    options?: LockOptions,
  ): Promise<T> {
    const lock = await this.acquire(key, options);
    try {
      return await work(lock.signal, lock);
    } finally {
      await lock.release();
    }
  }

  /**
   * Stands for election, again and again, until it is stopped: at any time at most one of those who stand for a key leads.
   */
  elect(key: string, options: ElectionOptions = {}): ConsulElection {
    checkLockOptions('elect()', options, { onElected: anything, onLost: anything });
    keyPath(key);
    if (this.closing.signal.aborted) throw this.closedError();
    const election = new ConsulElection(key, options, {
      client: this.client,
      acquire: (lockOptions) => this.acquire(key, lockOptions),
      random: this.random,
      logger: this.logger,
      onStopped: () => void this.open.delete(stop),
    });
    const stop = (): Promise<unknown> => election.stop();
    this.open.add(stop);
    return election;
  }

  /** Gives everything back and ends all waiting; the signals of what is held abort. May be called again. */
  async close(): Promise<void> {
    this.closing.abort(this.closedError());
    await Promise.all([...this.open].map((end) => end()));
    await Promise.allSettled(this.waiting);
  }

  private async acquireUntil(key: string, options: LockOptions, signal: AbortSignal): Promise<ConsulLock> {
    const session = await this.createSession(key, options, signal);
    let waiting: FreeKey | undefined;
    try {
      const backoff = new Backoff({ clock: this.client.clock, initialMs: 200, maxMs: 2000, random: this.random });
      for (;;) {
        signal.throwIfAborted();
        session.lost.throwIfAborted();
        const entry = await this.tryLock(key, options, session, signal);
        if (entry !== undefined) return await this.hold(key, entry, session);
        if (options.waitMs === 0) throw this.notFree(key, 0);
        waiting ??= new FreeKey(this.client, key, this.random);
        // Nobody holds it, and yet it can't be had: the delay after a lost holder isn't over.
        if (!(await waiting.untilFree(AbortSignal.any([signal, session.lost])))) continue;
        await backoff.wait(signal);
      }
    } catch (error) {
      await session.end();
      throw error;
    } finally {
      await waiting?.close();
    }
  }

  private async createSession(key: string, options: LockOptions, signal: AbortSignal): Promise<HeldSession> {
    const ttlMs = options.ttlMs ?? 15_000;
    const createdAt = this.client.clock.now();
    const creating = this.client.session.create({
      Name: `lock ${key}`,
      TTL: ttlMs,
      LockDelay: options.lockDelayMs ?? 15_000,
      Behavior: 'release',
    });
    // Not with the signal: a session that was made unheard would go on for a TTL.
    void creating.then(
      (id) => {
        if (signal.aborted) void this.client.session.destroy(id).catch(() => {});
      },
      () => {},
    );
    try {
      const id = await abandonOnAbort(creating, signal, `waiting for the lock ${key}`);
      return new HeldSession(this.client, id, ttlMs, createdAt, this.random, this.logger);
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `no session for the lock ${key}`, { backend: 'consul' });
    }
  }

  /** The entry when it is held now, undefined when it isn't to be had. */
  private async tryLock(
    key: string,
    options: LockOptions,
    session: HeldSession,
    signal: AbortSignal,
  ): Promise<KVEntry | undefined> {
    const value = options.value ?? `${hostname()}:${process.pid}`;
    try {
      // In a transaction, which tells the index of the lock with the lock.
      const [results] = await this.client.prepare().lock(key, value, { session: session.id }).execute({ signal });
      return results[0]?.KV;
    } catch (error) {
      if (!isConsulError(error, 'transaction')) throw error;
      if (error.errors.some(({ What }) => /invalid session/.test(What))) {
        session.lose(`the session ${session.id} has ended at the servers`);
      }
      return undefined;
    }
  }

  private async hold(key: string, entry: KVEntry, session: HeldSession): Promise<ConsulLock> {
    const watch = this.watchOver(key, session);
    const release = async (): Promise<void> => {
      this.open.delete(end);
      session.lost.removeEventListener('abort', onLost);
      await watch.close();
      // Ending the session would let the key go too, but others would wait for the lock delay.
      if (!session.lost.aborted) {
        await this.client.kv
          .unlock(key, entry.Value, { session: session.id, timeoutMs: 5000 })
          .catch((error: unknown) => this.logger.warn(`the lock ${key} could not be given back: ${String(error)}`));
      }
      await session.end();
    };
    const onLost = (): void => void lock.release();
    const signal = AbortSignal.any([session.lost, this.closing.signal]);
    const lock = new ConsulLock(key, entry.ModifyIndex, signal, release);
    const end = (): Promise<void> => lock.release();
    this.open.add(end);
    session.lost.addEventListener('abort', onLost, { once: true });
    if (this.closing.signal.aborted) {
      await lock.release();
      throw this.closedError();
    }
    return lock;
  }

  /** Somebody may end the session, delete the key or take the lock away: the holder must hear of it at once. */
  private watchOver(key: string, session: HeldSession): Watch {
    return this.client.watch<KVEntry | undefined>(
      (options) => this.client.kv.get(key, options),
      ({ value, meta }) => {
        if (meta !== undefined && value?.Session !== session.id)
          session.lose(`the lock ${key} is held by another or gone`);
      },
      { what: `the lock ${key}`, random: this.random, same: (a, b) => a?.Session === b?.Session },
    );
  }

  private notFree(key: string, waitMs: number): DiscoveryError {
    return new DiscoveryError('TIMEOUT', `the lock ${key} was not free within ${waitMs} ms`, { backend: 'consul' });
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', 'the locks were closed', { backend: 'consul' });
  }
}

/** Watches a key until nobody holds it. */
class FreeKey {
  private readonly watch: Watch;
  private holder: string | undefined;
  private known = false;
  private readonly waiters = new Set<() => void>();

  constructor(client: ConsulClient, key: string, random: () => number) {
    this.watch = client.watch<KVEntry | undefined>(
      (options) => client.kv.get(key, options),
      (report: { readonly value?: KVEntry | undefined; readonly meta?: ConsulMeta | undefined }) => {
        if (report.meta === undefined) return;
        this.known = true;
        this.holder = report.value?.Session;
        if (this.holder === undefined) for (const wake of this.waiters) wake();
      },
      // The one who waits wants to know at once.
      { what: `the lock ${key}`, random, minIntervalMs: 100, same: (a, b) => a?.Session === b?.Session },
    );
  }

  /** Resolves when nobody holds it; with true when that was so from the beginning, or with false when it became so. */
  async untilFree(signal: AbortSignal): Promise<boolean> {
    if (this.known && this.holder === undefined) return true;
    const before = this.known;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        this.waiters.delete(end);
        signal.removeEventListener('abort', end);
        resolve();
      };
      this.waiters.add(end);
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
    });
    return !before;
  }

  close(): Promise<void> {
    return this.watch.close();
  }
}

function checkLockOptions(what: string, options: LockOptions, more: Parameters<typeof checkOptions>[2] = {}): void {
  checkOptions(what, options, {
    value: anything,
    ttlMs: numberBetween(LEAST_SESSION_MS, 86_400_000),
    lockDelayMs: numberBetween(0, 60_000),
    signal: anything,
    waitMs: milliseconds(0),
    ...more,
  });
}
