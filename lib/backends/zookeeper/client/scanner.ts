import { PeriodicTask, type BackendContext, type Unsubscribe } from '../../../backend/index.js';
import { toDiscoveryError, type DiscoveryError } from '../../../model/index.js';
import { closedError, type ZooKeeperClient } from './zookeeper-client.js';

/** Options of a {@link Scanner}. */
export interface ScannerOptions {
  readonly client: ZooKeeperClient;
  readonly context: BackendContext;
  readonly backend: string;
  /** What is read, for messages. */
  readonly what: string;
  /** Milliseconds between scans of everything, which stand behind the watches. */
  readonly rescanMs: number;
  /** Reads what changed, or everything, and says whether anything is new. */
  readonly scan: (everything: boolean, signal: AbortSignal) => Promise<boolean>;
  /**
   * Told of scans that brought something new, and with `all` of those that must be told to everybody: the first, one
   * that was asked for, the first after a failure.
   */
  readonly onScan: (all: boolean) => void;
  readonly onFailure: (error: DiscoveryError) => void;
}

/** After a scan that failed the next one comes this soon, in milliseconds, if no connection brings it sooner. */
const RETRY_MS = 2000;

const SCAN_TIMEOUT_MS = 120_000;

/**
 * Says when to read: at the start, when a watch fired, after every (re)connection, and from time to time. One scan at a
 * time; whatever comes during a scan is one scan more.
 */
export class Scanner {
  private readonly task: PeriodicTask;
  private everything = true;
  private wanted = false;
  private scanned = false;
  private failure: DiscoveryError | undefined;
  /** When everything is due to be read again. */
  private completeAt = -Infinity;
  private readonly unsubscribe: Unsubscribe;
  private closed = false;

  constructor(private readonly options: ScannerOptions) {
    const { context, client, what, rescanMs } = options;
    this.task = new PeriodicTask({
      clock: context.clock,
      what: `reading ${what}`,
      intervalMs: () =>
        this.failure === undefined ? this.completeAt - context.clock.now() : Math.min(RETRY_MS, rescanMs),
      jitter: 0,
      timeoutMs: () => SCAN_TIMEOUT_MS,
      random: () => context.random(),
      run: (signal) => this.run(signal),
      onError: (error) => this.failed(error),
    });
    this.unsubscribe = client.state.subscribe(({ phase }) => {
      if (phase === 'connected') this.again(true);
      else this.onOutage();
    });
  }

  /** True after the first scan ended well. */
  get ready(): boolean {
    return this.scanned;
  }

  /** Why what is known may be out of date. */
  get error(): DiscoveryError | undefined {
    return this.failure;
  }

  start(): void {
    this.task.start('now');
  }

  /** Asks for a scan, soon. */
  again(everything: boolean): void {
    this.everything ||= everything;
    // Its failure is told.
    this.task.trigger().catch(() => {});
  }

  /** Reads everything again; resolves after its outcome was told, rejects when it failed (which was told too). */
  async refresh(): Promise<void> {
    if (this.closed) throw this.closedError();
    this.everything = true;
    this.wanted = true;
    const { outage } = this.options.client;
    if (outage !== undefined) {
      this.failed(outage);
      throw outage;
    }
    try {
      await this.task.trigger();
    } catch (error) {
      throw this.closed ? this.closedError() : this.wrapped(error);
    }
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.unsubscribe();
    await this.task.stop();
  }

  private onOutage(): void {
    const { outage } = this.options.client;
    // The watches are gone with the connection.
    this.everything = true;
    if (outage !== undefined) this.failed(outage);
  }

  private async run(signal: AbortSignal): Promise<void> {
    const { context, rescanMs, scan, onScan, client } = this.options;
    const now = context.clock.now();
    const everything = this.everything || now >= this.completeAt;
    const { wanted } = this;
    this.everything = false;
    this.wanted = false;
    try {
      if (client.outage !== undefined) throw client.outage;
      const news = await scan(everything, signal);
      if (signal.aborted || this.closed) return;
      // Not at the same time as everybody who connected with this client.
      if (everything) this.completeAt = now + rescanMs * (1 - 0.1 * context.random());
      const all = wanted || !this.scanned || this.failure !== undefined;
      this.scanned = true;
      this.failure = undefined;
      if (all || news) onScan(all);
    } catch (error) {
      // What was missed isn't known any more.
      this.everything = true;
      this.wanted ||= wanted;
      throw error;
    }
  }

  private failed(error: unknown): void {
    if (this.closed) return;
    const wrapped = this.wrapped(error);
    const known = this.failure?.message === wrapped.message && !this.wanted;
    this.failure = wrapped;
    this.wanted = false;
    if (!known) this.options.onFailure(wrapped);
  }

  private wrapped(error: unknown): DiscoveryError {
    const { backend, what } = this.options;
    return toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} can't be read`, { backend });
  }

  private closedError(): DiscoveryError {
    return closedError(this.options.backend, `the watch of ${this.options.what}`);
  }
}
