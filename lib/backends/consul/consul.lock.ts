import { PeriodicTask, sleep, type Clock, type Logger, type Timer } from '../../backend/index.js';
import { DiscoveryError, messageOf } from '../../model/index.js';
import type { ConsulClient } from './client/consul-client.js';
import { isConsulError } from './client/errors.js';
import type { Payload } from './client/values.js';

/** Least life of a session, in milliseconds: Consul's. */
export const LEAST_SESSION_MS = 10_000;

/** A session that is renewed for as long as it is wanted, and known to be lost no later than the servers could know. */
export class HeldSession {
  private readonly losing = new AbortController();
  private readonly ending = new AbortController();
  private readonly task: PeriodicTask;
  private expiry: Timer | undefined;

  constructor(
    private readonly client: ConsulClient,
    readonly id: string,
    private readonly ttlMs: number,
    createdAt: number,
    random: () => number,
    private readonly logger: Logger,
  ) {
    this.expectEnd(createdAt);
    this.task = new PeriodicTask({
      clock: client.clock,
      what: `the renewal of the session ${id}`,
      intervalMs: () => ttlMs / 2,
      // Tries again soon: half of its life is left.
      timeoutMs: () => ttlMs / 4,
      random,
      run: (signal) => this.renew(signal),
      onError: (error) => this.logger.warn(`a session could not be renewed: ${messageOf(error)}`),
    });
    this.task.start('after-interval');
  }

  /** Aborts when the session has ended, or may have, for all that is known. */
  get lost(): AbortSignal {
    return this.losing.signal;
  }

  /** Ends it. Never rejects; what can't be reached ends by itself. */
  async end(): Promise<void> {
    if (this.ending.signal.aborted) return;
    this.ending.abort();
    this.expiry?.cancel();
    await this.task.stop();
    try {
      await this.client.session.destroy(this.id, { timeoutMs: Math.min(5000, this.ttlMs) });
    } catch (error) {
      this.logger.warn(`a session could not be ended, and ends by itself: ${messageOf(error)}`);
    }
  }

  /** Counts as lost from now on. */
  lose(reason: string): void {
    if (this.ending.signal.aborted || this.losing.signal.aborted) return;
    this.losing.abort(new DiscoveryError('ABORTED', reason, { backend: 'consul' }));
  }

  private async renew(signal: AbortSignal): Promise<void> {
    const { clock } = this.client;
    const asked = clock.now();
    try {
      await this.client.session.renew(this.id, { signal });
      this.expectEnd(asked);
    } catch (error) {
      if (isConsulError(error, 'not-found')) this.lose(`the session ${this.id} has ended at the servers`);
      else if (!this.losing.signal.aborted && !signal.aborted) void this.retry();
      throw error;
    }
  }

  /** Between the periodic tries there is time for more: an agent that restarts is back in seconds. */
  private async retry(): Promise<void> {
    const over = AbortSignal.any([this.losing.signal, this.ending.signal]);
    if (!(await sleep(this.client.clock, this.ttlMs / 10, over))) return;
    await this.task.trigger().catch(() => {});
  }

  /** The servers may end it a TTL after they last heard of it, which was at `at` or later. */
  private expectEnd(at: number): void {
    const { clock } = this.client;
    this.expiry?.cancel();
    this.expiry = clock.setTimer(
      () => this.lose(`the session ${this.id} could not be renewed for ${this.ttlMs} ms`),
      at + this.ttlMs - clock.now(),
    );
  }
}

/** Options of a lock. */
export interface LockOptions {
  /** What lies at the key while it is held: who holds it, for those who look. @default host name and process id */
  readonly value?: Payload;
  /**
   * A holder that died is noticed after this long, up to twice that, in milliseconds; at least 10000.
   * @default 15000
   */
  readonly ttlMs?: number;
  /**
   * How long a key whose holder was lost can't be locked by another, so that the old holder notices first, in
   * milliseconds, at most 60000. A lock that was released is free at once. @default 15000
   */
  readonly lockDelayMs?: number;
  /** Gives up waiting. */
  readonly signal?: AbortSignal;
  /** How long to wait for the lock, in milliseconds; 0 doesn't wait. @default for ever */
  readonly waitMs?: number;
}

/** A lock that is held. */
export class ConsulLock {
  private releasing: Promise<void> | undefined;

  constructor(
    readonly key: string,
    /**
     * Grows with every holder of the key, also when the key was removed in between: hand it on with every write, and let
     * the receiver refuse smaller ones, where two who believe that they hold the lock would do harm.
     */
    readonly fencingToken: number,
    /** Aborts when the lock is lost, or the locks are closed: stop at once what only the holder may do. */
    readonly signal: AbortSignal,
    private readonly giveBack: () => Promise<void>,
  ) {}

  /** True until it is released or lost. */
  get held(): boolean {
    return this.releasing === undefined && !this.signal.aborted;
  }

  /** Gives it back; the next one has it at once. Never rejects; may be called again. */
  release(): Promise<void> {
    this.releasing ??= this.giveBack();
    return this.releasing;
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** What locks need of their surroundings. */
export interface LockContext {
  readonly random: () => number;
  readonly logger: Logger;
  readonly clock: Clock;
}
