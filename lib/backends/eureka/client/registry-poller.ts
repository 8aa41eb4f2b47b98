import { PeriodicTask, type DriverHost } from '../../../backend/index.js';
import { describe, DiscoveryError, toDiscoveryError } from '../../../model/index.js';
import type { Applications } from '../eureka.applications.js';
import type { EurekaSettings } from '../eureka.options.js';
import type { EurekaApi } from './api.js';
import { RegistryCache, type CacheChange } from './registry-cache.js';

/** Who hears of every answer, and of every failure to get one. */
export interface PollListener {
  /** @param changed names of the applications that are not what they were, in capitals */
  polled(changed: ReadonlySet<string>): void;
  /** No server could be asked. */
  failed(error: DiscoveryError): void;
}

/** How the registry was read so far. */
export interface PollStats {
  readonly full: number;
  readonly deltas: number;
  /** Deltas after which the own count differed from the server's, each followed by one full read. */
  readonly mismatches: number;
}

/** Between tries while no server answers, in milliseconds. */
const RETRY_MS = { initial: 1000, longest: 30_000 };

/**
 * Keeps the registry up to date: everything once, then changes, checked by the server's count. One read at a time; an
 * answer that comes after its time is dropped.
 */
export class RegistryPoller {
  private readonly cache = new RegistryCache();
  private readonly listeners = new Set<PollListener>();
  private readonly task: PeriodicTask;
  private counts = { full: 0, deltas: 0, mismatches: 0 };
  private lastError: DiscoveryError | undefined;
  private lastSuccess: number | undefined;
  /** Resolves when the first read has ended, well or not, or when there will be none. */
  readonly firstOutcome: Promise<void>;
  private firstEnded: () => void = () => {};

  /** @param timeoutMs time enough for every server that is tried to be found silent, in milliseconds */
  constructor(
    private readonly host: DriverHost,
    private readonly api: EurekaApi,
    private readonly settings: EurekaSettings,
    timeoutMs: () => number,
  ) {
    this.firstOutcome = new Promise((resolve) => {
      this.firstEnded = resolve;
    });
    const { name, context } = host;
    const { fetchIntervalMs } = settings.read;
    this.task = new PeriodicTask({
      clock: context.clock,
      random: () => context.random(),
      what: `reading the registry of ${name}`,
      intervalMs: () => fetchIntervalMs,
      // After a failure soon again, then less and less often, but never less often than without one.
      retry: {
        initialMs: Math.min(RETRY_MS.initial, fetchIntervalMs),
        maxMs: Math.min(RETRY_MS.longest, fetchIntervalMs),
      },
      timeoutMs: () => Math.max(fetchIntervalMs, timeoutMs()),
      run: (signal) => this.poll(signal),
      onError: (error) => this.pollFailed(error),
    });
  }

  /** What is known, however old. */
  get applications(): Applications {
    return this.cache.applications;
  }

  /** When the registry was last read, in milliseconds since the epoch; undefined before the first time. */
  get asOf(): number | undefined {
    return this.lastSuccess;
  }

  /** When it is read again, in milliseconds since the epoch; undefined while it is being read. */
  get readAgainAt(): number | undefined {
    return this.task.nextRunAt;
  }

  /** True when the last read succeeded. */
  get isFresh(): boolean {
    return this.lastSuccess !== undefined && this.lastError === undefined;
  }

  get stats(): PollStats {
    return this.counts;
  }

  /** Begins; again does nothing. */
  start(): void {
    this.task.start('now');
  }

  /** Reads the registry now; resolves when it was read. */
  refresh(): Promise<void> {
    const read = this.task.trigger();
    this.task.start('now');
    return read;
  }

  listen(listener: PollListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Ends it for good; resolves when no read is going on any more. */
  stop(): Promise<void> {
    this.firstEnded();
    return this.task.stop();
  }

  private async poll(signal: AbortSignal): Promise<void> {
    const { read } = this.settings;
    const delta = read.deltas && read.vipAddress === undefined && this.lastSuccess !== undefined && !this.cache.isEmpty;
    const changed = delta ? await this.readChanges(signal) : await this.readAll(signal);
    this.lastError = undefined;
    this.lastSuccess = this.host.context.clock.now();
    for (const listener of Array.from(this.listeners)) listener.polled(changed);
    this.firstEnded();
  }

  private async readChanges(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { api, host, settings } = this;
    const delta = await api.getDelta(settings.read.remoteRegions, signal);
    assertInTime(signal);
    if (delta === undefined) return this.readAll(signal);
    this.counts = { ...this.counts, deltas: this.counts.deltas + 1 };
    const { changed } = this.told(this.cache.apply(delta));
    if (delta.hashcode === undefined || delta.hashcode === this.cache.hashcode) return changed;
    this.counts = { ...this.counts, mismatches: this.counts.mismatches + 1 };
    const counted = `${describe(this.cache.hashcode)} instead of ${describe(delta.hashcode)}`;
    host.context.logger.debug(`${host.name}: changes were missed (${counted}), everything is read anew`);
    return new Set([...changed, ...(await this.readAll(signal))]);
  }

  private async readAll(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { api, settings } = this;
    const { remoteRegions, vipAddress } = settings.read;
    const answer =
      vipAddress === undefined
        ? await api.getApplications(remoteRegions, signal)
        : await api.getVip(vipAddress, remoteRegions, signal);
    assertInTime(signal);
    this.counts = { ...this.counts, full: this.counts.full + 1 };
    return this.told(this.cache.replace(answer)).changed;
  }

  private told(change: CacheChange): CacheChange {
    const { host } = this;
    for (const { application, record } of change.unreadable) {
      const problem = `a record of ${describe(application)} has neither an id nor a host name`;
      host.skip(
        `${application}/${describe(record)}`,
        new DiscoveryError('INVALID_INSTANCE', problem, {
          backend: host.name,
          service: application,
          field: 'instanceId',
        }),
      );
    }
    return change;
  }

  private pollFailed(error: unknown): void {
    const failure = unavailable(error, this.host.name);
    this.lastError = failure;
    for (const listener of Array.from(this.listeners)) listener.failed(failure);
    this.firstEnded();
  }
}

/** A read that ran out of time is a server that doesn't answer. */
function unavailable(error: unknown, backend: string): DiscoveryError {
  if (error instanceof DiscoveryError && error.code === 'TIMEOUT') {
    return new DiscoveryError('BACKEND_UNAVAILABLE', error.message, { backend, cause: error });
  }
  return toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `the registry of ${backend} could not be read`, { backend });
}

/** What comes after its time is older than what has been read since. */
function assertInTime(signal: AbortSignal): void {
  if (signal.aborted) throw new DiscoveryError('ABORTED', 'the answer came too late');
}
