import { PeriodicTask, Reporter, type BackendContext, type Timer, type Watch } from '../../backend/index.js';
import { DiscoveryError, toDiscoveryError } from '../../model/index.js';
import { FolderEvents } from './local.folder-events.js';

/** The entries of a folder that changed since they were read. */
export type Changed = ReadonlySet<string> | 'all';

/** What a reading brought. */
export type Outcome<T> =
  { readonly value: T; readonly error?: undefined } | { readonly error: DiscoveryError; readonly value?: undefined };

/** Where leases and watches tell how they fare, each under a key of its own. */
export interface Health {
  succeeded(key: object): void;
  failed(key: object, error: DiscoveryError): void;
  /** It has ended: how it fared last says nothing any more. */
  forget(key: object): void;
}

/** Options of a {@link LiveReading}. */
export interface LiveReadingOptions<T> {
  readonly context: BackendContext;
  /** Name of the backend. */
  readonly backend: string;
  /** What is read, for messages: `the instances of STOCK`. */
  readonly what: string;
  readonly folder: string;
  /** Milliseconds between readings of everything. */
  readonly pollMs: number;
  /** How long events are gathered before they are followed, in milliseconds. */
  readonly gatherMs: number;
  /** Milliseconds between readings without a change, for what changes by time alone. @default pollMs */
  readonly tickMs?: () => number;
  /** Reads; gives the object that it gave before when nothing changed. */
  readonly read: (changed: Changed) => Promise<T>;
  /** Takes every change, and every failure once. */
  readonly deliver: (outcome: Outcome<T>) => void;
  /** Told of every reading. */
  readonly health: Health;
  readonly onClosed: () => void;
}

/** After a failure everything is read again at least this often, in milliseconds. */
const RETRY_MS = 500;

/** A reading that takes longer has failed, in milliseconds: a network file system may hang. */
const TIMEOUT_MS = 10_000;

/**
 * Keeps reading a folder: what changed when the file system says so, everything from time to time, and reports what is
 * new. One loop, so that no reading overlaps another.
 */
export class LiveReading<T> implements Watch {
  private readonly reporter: Reporter<Outcome<T>>;
  private readonly task: PeriodicTask;
  private readonly events: FolderEvents;
  private changed = new Set<string>();
  private everything = true;
  /** Somebody waits for a report, changed or not. */
  private wanted = false;
  private present: { readonly wanted: boolean } = { wanted: false };
  /** When everything is due to be read again. */
  private completeAt = -Infinity;
  private last: Outcome<T> | undefined;
  private gathering: Timer | undefined;
  private closing: Promise<void> | undefined;

  constructor(private readonly options: LiveReadingOptions<T>) {
    const { context, backend, what } = options;
    this.reporter = new Reporter(options.deliver, (error) =>
      context.report({ type: 'listener.failed', where: `the watch of ${what} on ${backend}`, error }),
    );
    this.events = new FolderEvents(options.folder, (name) => this.onEvent(name));
    this.task = new PeriodicTask({
      clock: context.clock,
      what: `reading ${what}`,
      intervalMs: () => this.interval(),
      timeoutMs: () => TIMEOUT_MS,
      jitter: 0,
      random: () => context.random(),
      run: (signal) => this.runOnce(signal),
      onError: (error) => this.failed(error),
    });
    this.task.start('now');
  }

  async refresh(): Promise<void> {
    if (this.closing !== undefined) throw this.closedError();
    this.everything = true;
    this.wanted = true;
    try {
      await this.task.trigger();
    } catch (error) {
      throw this.closing === undefined ? this.wrapped(error) : this.closedError();
    }
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    this.events.close();
    this.gathering?.cancel();
    this.reporter.close();
    await this.task.stop();
    this.options.health.forget(this);
    this.options.onClosed();
  }

  private interval(): number {
    if (this.last?.error !== undefined) return Math.min(RETRY_MS, this.options.pollMs);
    return Math.min(this.options.tickMs?.() ?? Infinity, this.completeAt - this.options.context.clock.now());
  }

  private async runOnce(signal: AbortSignal): Promise<void> {
    const now = this.options.context.clock.now();
    if (now >= this.completeAt) this.everything = true;
    const complete = this.everything;
    const changed = complete ? 'all' : this.changed;
    this.present = { wanted: this.wanted };
    this.wanted = false;
    this.everything = false;
    this.changed = new Set();
    // Before reading: what changes from here on is an event, or was read.
    if (complete) await this.events.arm();
    const value = await this.options.read(changed);
    // Closed, or given up as too slow: the next reading may be on its way.
    if (signal.aborted) return;
    if (complete) this.completeAt = now + this.options.pollMs;
    this.options.health.succeeded(this);
    const news = this.last === undefined || this.last.error !== undefined || this.last.value !== value;
    if (!news && !this.present.wanted) return;
    this.last = { value };
    await this.reporter.send(this.last);
  }

  private failed(error: unknown): void {
    // Something was missed, nobody knows what.
    this.everything = true;
    const wrapped = this.wrapped(error);
    this.options.health.failed(this, wrapped);
    const known = this.last?.error?.message === wrapped.message;
    this.last = { error: wrapped };
    if (!known || this.present.wanted) void this.reporter.send(this.last);
  }

  private onEvent(name: string | undefined): void {
    if (this.closing !== undefined) return;
    if (name === undefined) this.everything = true;
    else this.changed.add(name);
    this.gathering ??= this.options.context.clock.setTimer(() => {
      this.gathering = undefined;
      // Failures go through `failed`.
      this.task.trigger().catch(() => {});
    }, this.options.gatherMs);
  }

  private wrapped(error: unknown): DiscoveryError {
    const { backend, what } = this.options;
    return toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} can't be read`, { backend });
  }

  private closedError(): DiscoveryError {
    const { backend, what } = this.options;
    return new DiscoveryError('BACKEND_CLOSED', `the watch of ${what} was closed`, { backend });
  }
}
