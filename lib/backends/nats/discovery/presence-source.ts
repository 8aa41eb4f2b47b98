import { PeriodicTask, withDeadline } from '../../../backend/index.js';
import {
  keepIdentity,
  messageOf,
  toDiscoveryError,
  toInstance,
  type DiscoveryError,
  type ServiceInstance,
} from '../../../model/index.js';
import { escapeToken, type KeyValueEntry } from '../jetstream/key-value.codec.js';
import type { KeyValueBucket } from '../jetstream/key-value.js';
import { KeyValueWatch, readAll } from '../jetstream/key-value-watch.js';
import { decodePresence, presenceKey } from '../nats.codec.js';
import type { NatsShared } from '../nats.shared.js';
import type { InstanceSource } from './source.js';

/** A record of the bucket, as it was last seen. */
interface Seen {
  readonly entry: KeyValueEntry;
  /** Undefined for a record that could not be read. */
  readonly instance: ServiceInstance | undefined;
  /** After this time it is looked up whether the server still has it. */
  readonly dueAt: number;
}

/** How much later than its lease a record is doubted: the server takes its time to forget. */
const SLACK_MS = 500;

/** Records that can't be read are told of once each, up to so many. */
const MAX_COMPLAINTS = 1000;

/**
 * The instances of one service in the presence bucket: watched, and since a server before 2.11 forgets a record without
 * a word, looked up when its renewal is overdue.
 */
export class PresenceSource implements InstanceSource {
  current: InstanceSource['current'];
  private readonly watch: KeyValueWatch;
  private readonly overdue: PeriodicTask;
  private seen = new Map<string, Seen>();
  private readonly complaints = new Set<string>();
  private closed = false;

  constructor(
    private readonly shared: NatsShared,
    private readonly bucket: KeyValueBucket,
    private readonly service: string,
    private readonly onChange: () => void,
  ) {
    const { context, settings } = shared;
    this.watch = new KeyValueWatch(bucket, {
      filters: [this.filter],
      heartbeatMs: settings.heartbeatMs,
      random: () => context.random(),
      onInitial: (entries) => this.replace(entries),
      onEntry: (entry) => {
        this.take(this.seen, entry);
        this.changed();
      },
      onError: (error) => this.failed(error),
    });
    this.overdue = new PeriodicTask({
      clock: context.clock,
      what: `looking for overdue instances of ${service}`,
      intervalMs: () => Math.max(100, Math.min(settings.presence.leaseMs / 4, 2000)),
      timeoutMs: () => settings.connection.requestTimeoutMs,
      random: () => context.random(),
      run: (signal) => this.checkOverdue(signal),
      // The watch tells of what doesn't answer.
      onError: () => {},
    });
    this.overdue.start('after-interval');
  }

  async refresh(): Promise<void> {
    const { settings, context } = this.shared;
    try {
      const entries = await withDeadline(
        context.clock,
        settings.connection.requestTimeoutMs,
        undefined,
        `reading the instances of ${this.service}`,
        (signal) => readAll(this.bucket, this.filter, 'last', { signal }),
      );
      this.replace(entries);
    } catch (error) {
      const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.service} can't be read`);
      this.failed(failure);
      throw failure;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([this.watch.close(), this.overdue.stop()]);
  }

  private get filter(): string {
    return `${escapeToken(this.service)}.*`;
  }

  private replace(entries: readonly KeyValueEntry[]): void {
    if (this.closed) return;
    const next = new Map<string, Seen>();
    for (const entry of entries) {
      // What a reading and the watch both brought: the newer one counts.
      const known = this.seen.get(entry.key);
      if (known !== undefined && known.entry.revision === entry.revision) next.set(entry.key, known);
      else this.take(next, entry);
    }
    this.seen = next;
    this.changed();
  }

  private take(into: Map<string, Seen>, entry: KeyValueEntry): void {
    const known = into.get(entry.key);
    if (known !== undefined && known.entry.revision > entry.revision) return;
    if (entry.operation !== 'PUT') {
      into.delete(entry.key);
      return;
    }
    const { context, settings } = this.shared;
    let leaseMs = settings.presence.leaseMs;
    let instance: ServiceInstance | undefined;
    try {
      const record = decodePresence(entry.value);
      leaseMs = record.leaseMs;
      const { registration } = record;
      if (presenceKey(registration.service, registration.instanceId) !== entry.key) {
        throw new Error(`the record says it is of ${registration.service}`);
      }
      instance = toInstance(registration, settings.name);
    } catch (error) {
      this.complain(entry, error);
    }
    into.set(entry.key, { entry, instance, dueAt: context.clock.now() + leaseMs + SLACK_MS });
  }

  private changed(): void {
    if (this.closed) return;
    const found = [...this.seen.values()].map(({ instance }) => instance).filter((instance) => instance !== undefined);
    const known = this.current?.instances ?? this.lastKnown;
    const instances = keepIdentity(known, found);
    this.lastKnown = instances;
    if (this.current?.instances === instances) return;
    this.current = { instances };
    this.onChange();
  }

  private lastKnown: readonly ServiceInstance[] = [];

  private failed(error: DiscoveryError): void {
    if (this.closed || this.current?.error?.message === error.message) return;
    this.current = { error };
    this.onChange();
  }

  private async checkOverdue(signal: AbortSignal): Promise<void> {
    if (this.current?.error !== undefined) return;
    const { clock } = this.shared.context;
    for (const [key, { entry, dueAt }] of [...this.seen]) {
      if (dueAt > clock.now()) continue;
      const present = await this.bucket.get(key, signal);
      // Renewed meanwhile, as the watch will have said.
      if (signal.aborted || this.seen.get(key)?.entry !== entry) continue;
      if (present !== undefined && present.revision > entry.revision) this.take(this.seen, present);
      else this.seen.delete(key);
      this.changed();
    }
  }

  private complain(entry: KeyValueEntry, error: unknown): void {
    if (this.complaints.has(entry.key)) return;
    if (this.complaints.size < MAX_COMPLAINTS) this.complaints.add(entry.key);
    const { context, settings } = this.shared;
    const record = `${entry.bucket}: ${entry.key}`;
    context.report({
      type: 'record.skipped',
      backend: settings.name,
      record,
      error: toDiscoveryError(error, 'INVALID_INSTANCE', messageOf(error), { backend: settings.name }),
    });
  }
}
