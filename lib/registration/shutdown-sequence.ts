import { messageOf } from '../model/index.js';
import { sleep, type Clock, type Logger } from '../backend/index.js';
import type { RequestsInFlight } from './requests-in-flight.js';
import type { ServiceRegistry } from './service-registry.js';

/** How long each step of a shutdown may take. */
export interface ShutdownOptions {
  /** Until every registry has confirmed the removal, in milliseconds. @default 5000 */
  readonly deregisterTimeoutMs?: number;
  /**
   * How long to go on serving after the removal, so that callers who still have the old list are answered, in
   * milliseconds. @default 3000 in production (`NODE_ENV`), else 0
   */
  readonly propagationDelayMs?: number;
  /** Until requests that are being answered have ended, in milliseconds. @default 10000 */
  readonly drainTimeoutMs?: number;
}

/** What a {@link ShutdownSequence} works on. */
export interface ShutdownParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: ServiceRegistry;
  readonly requests: RequestsInFlight;
  /** Turns the app's readiness off. */
  readonly setNotReady: () => void;
  readonly beforeDeregister: () => Promise<void>;
  readonly afterDeregister: () => Promise<void>;
}

/**
 * Takes the app out of service in the one order that loses no request: not ready → out of every registry → go on
 * serving while that gets around → wait for what is being answered. Whoever closes the server and the backends does so
 * afterwards. Runs once, however many ask for it, and never rejects.
 */
export class ShutdownSequence {
  private running: Promise<void> | undefined;

  constructor(
    private readonly parts: ShutdownParts,
    private readonly options: Required<ShutdownOptions>,
  ) {}

  /** True once it began. */
  get started(): boolean {
    return this.running !== undefined;
  }

  /** Runs it, or joins the run that is going on. */
  run(): Promise<void> {
    this.running ??= this.steps();
    return this.running;
  }

  private async steps(): Promise<void> {
    const { clock, logger, registry, requests } = this.parts;
    const { deregisterTimeoutMs, propagationDelayMs, drainTimeoutMs } = this.options;
    this.parts.setNotReady();
    const registered = registry.leases.length > 0;
    if (registered) await this.guard('beforeServiceDeregister', this.parts.beforeDeregister);
    const cut = new AbortController();
    const timer = clock.setTimer(() => cut.abort(), deregisterTimeoutMs);
    await this.guard('deregistration', () => registry.revokeAll(cut.signal));
    timer.cancel();
    if (registered) await this.guard('onServiceDeregistered', this.parts.afterDeregister);
    requests.drain();
    if (registered && propagationDelayMs > 0) await sleep(clock, propagationDelayMs);
    const idle = await requests.whenIdle(clock, drainTimeoutMs);
    if (!idle) logger.warn(`${requests.count} requests were still being answered after ${drainTimeoutMs} ms`);
  }

  /** A step that fails must not keep the app from stopping. */
  private async guard(what: string, step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.parts.logger.error(`${what} failed during shutdown: ${messageOf(error)}`);
    }
  }
}
