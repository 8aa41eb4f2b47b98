import { messageOf } from '../model/index.js';
import { cutAfter, sleep, withDeadline, type Clock, type Logger } from '../backend/index.js';
import type { ServerConnections } from './server-connections.js';
import type { ServiceRegistry } from './service-registry.js';
import type { WorkInFlight } from './work-in-flight.js';

/** How long each step of a shutdown may take. */
export interface ShutdownOptions {
  /** Until every registry has confirmed the removal, in milliseconds. @default 5000 */
  readonly deregisterTimeoutMs?: number;
  /**
   * How long to go on serving after the removal, so that callers who still have the old list are answered, in
   * milliseconds. @default in production (`NODE_ENV`) what the slowest of the app's registries needs: 3 s, Eureka 90 s; else 0
   */
  readonly propagationDelayMs?: number;
  /** Until requests and messages that are being answered have ended, in milliseconds. @default 10000 */
  readonly drainTimeoutMs?: number;
  /** What one hook may take, in milliseconds; with `enableGracefulShutdown` those of other modules too. @default 5000 */
  readonly hookTimeoutMs?: number;
  /**
   * What the whole may take, in milliseconds; with `enableGracefulShutdown` Nest's own shutdown included, after which the
   * process ends with status 1. @default the propagation delay and 20000
   */
  readonly totalTimeoutMs?: number;
}

/** What a {@link ShutdownSequence} works on. */
export interface ShutdownParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: ServiceRegistry;
  readonly work: WorkInFlight;
  readonly connections: ServerConnections;
  /** Turns the app's readiness off. */
  readonly setNotReady: () => void;
  /** Calls the hooks, each of which has its own limit. */
  readonly beforeDeregister: (timeoutMs: number) => Promise<void>;
  readonly afterDeregister: (timeoutMs: number) => Promise<void>;
  /** Tells connections that would never end by themselves, as far as they can be told; nobody waits for them. */
  readonly goAway: () => void;
}

/**
 * Takes the app out of service in the one order that loses no request: not ready → out of every registry → go on
 * serving while that gets around → no new connections → wait for what is being answered → close what is still open.
 * Whoever runs other hooks and closes the backends does so afterwards. Runs once, however many ask for it, never rejects,
 * and ends in time whatever hangs.
 */
export class ShutdownSequence {
  private running: Promise<void> | undefined;
  private readonly hurrying = new AbortController();
  private readonly expiring = new AbortController();
  private step = 'the shutdown';
  private overdue: string | undefined;

  constructor(
    private readonly parts: ShutdownParts,
    private readonly options: Required<ShutdownOptions>,
  ) {}

  /** True once it began. */
  get started(): boolean {
    return this.running !== undefined;
  }

  /** What it waits for, or waited for last; once it has expired, what it waited for then. */
  get current(): string {
    return this.overdue ?? this.step;
  }

  /** Aborts when the whole has taken longer than `totalTimeoutMs`, counted from the moment that it began. */
  get expired(): AbortSignal {
    return this.expiring.signal;
  }

  /** Runs it, or joins the run that is going on. */
  run(): Promise<void> {
    this.running ??= this.steps();
    return this.running;
  }

  /** Skips the waits, also those that are still to come: somebody is in a hurry. */
  hurry(): void {
    this.hurrying.abort();
  }

  private async steps(): Promise<void> {
    const { clock, logger, registry, work, connections } = this.parts;
    const { deregisterTimeoutMs, propagationDelayMs, drainTimeoutMs, totalTimeoutMs } = this.options;
    // Counted in time that passes, not by the clock on the wall; and it alone keeps no process alive.
    clock.setTimer(() => this.expire(), totalTimeoutMs, { background: true });
    this.parts.setNotReady();
    const registered = registry.leases.length > 0;
    // Whatever the hooks do, there is time left to take the record out.
    const hookTimeoutMs = Math.min(this.options.hookTimeoutMs, totalTimeoutMs / 4);
    if (registered) await this.guard('beforeServiceDeregister', () => this.parts.beforeDeregister(hookTimeoutMs));
    await this.guard('the deregistration', () => this.deregister(Math.min(deregisterTimeoutMs, totalTimeoutMs / 2)));
    if (registered) await this.guard('onServiceDeregistered', () => this.parts.afterDeregister(hookTimeoutMs));
    connections.drain();
    if (registered && propagationDelayMs > 0) await this.wait('callers to hear of it', propagationDelayMs);
    connections.refuse();
    this.parts.goAway();
    if (work.count > 0) {
      this.step = 'what is being answered';
      const idle = await work.whenIdle(clock, drainTimeoutMs, this.hurrying.signal);
      if (!idle) logger.warn(`${work.count} requests or messages were still being answered: they are cut off`);
    }
    connections.closeAll();
    this.step = 'other hooks';
  }

  private deregister(timeoutMs: number): Promise<unknown> {
    const { clock, registry } = this.parts;
    return cutAfter(clock, timeoutMs, undefined, (cut) => registry.revokeAll(cut));
  }

  private async wait(what: string, delayMs: number): Promise<void> {
    this.step = what;
    await sleep(this.parts.clock, delayMs, this.hurrying.signal);
  }

  /** A step that fails must not keep the app from stopping, nor one that hangs. */
  private async guard(what: string, step: () => Promise<unknown>): Promise<void> {
    this.step = what;
    const { clock, logger } = this.parts;
    try {
      await withDeadline(clock, undefined, this.expiring.signal, what, step);
    } catch (error) {
      logger.error(`${what} failed during shutdown: ${messageOf(error)}`);
    }
  }

  private expire(): void {
    this.overdue = this.step;
    this.hurry();
    this.expiring.abort();
  }
}
