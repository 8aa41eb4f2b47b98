import { PeriodicTask, type PushSource } from '../../../backend/index.js';
import { keepMembers, toInstance, type ServiceInstance } from '../../../model/index.js';
import { escapeToken, type KeyValueEntry } from '../jetstream/key-value.codec.js';
import type { KeyValueBucket } from '../jetstream/key-value.js';
import { KeyValueWatch, readAll } from '../jetstream/key-value-watch.js';
import { decodePresence, presenceKey } from '../nats.codec.js';
import type { NatsShared } from '../nats.shared.js';

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

/**
 * The instances of one service in the presence bucket: watched, and since a server before 2.11 forgets a record without
 * a word, looked up when its renewal is overdue.
 */
export function presenceSource(
  shared: NatsShared,
  bucket: KeyValueBucket,
  service: string,
): PushSource<readonly ServiceInstance[]> {
  const { settings } = shared;
  const { clock, random } = { clock: shared.host.context.clock, random: () => shared.host.context.random() };
  const filter = `${escapeToken(service)}.*`;
  const records = new PresenceRecords(shared);
  let tell = (): void => {};
  return {
    what: `the instances of ${service}`,
    keep: keepMembers,
    timeoutMs: settings.connection.requestTimeoutMs,
    follow: ({ value, failed }) => {
      let failing = false;
      tell = () => {
        failing = false;
        value(records.instances());
      };
      const watch = new KeyValueWatch(bucket, {
        filters: [filter],
        heartbeatMs: settings.heartbeatMs,
        random,
        onInitial: (entries) => {
          records.replace(entries);
          tell();
        },
        onEntry: (entry) => {
          records.take(entry);
          tell();
        },
        onError: (error) => {
          failing = true;
          failed(error);
        },
      });
      const overdue = new PeriodicTask({
        clock,
        what: `looking for overdue instances of ${service}`,
        intervalMs: () => Math.max(100, Math.min(settings.presence.leaseMs / 4, 2000)),
        timeoutMs: () => settings.connection.requestTimeoutMs,
        random,
        run: async (signal) => {
          if (!failing && (await records.checkOverdue(bucket, signal))) tell();
        },
        // The watch tells of what doesn't answer.
        onError: () => {},
      });
      overdue.start('after-interval');
      return () => Promise.all([watch.close(), overdue.stop()]);
    },
    refresh: async (signal) => {
      records.replace(await readAll(bucket, filter, 'last', { signal }));
      tell();
    },
  };
}

/** The records of one service, as they were last seen. */
class PresenceRecords {
  private seen = new Map<string, Seen>();

  constructor(private readonly shared: NatsShared) {}

  instances(): readonly ServiceInstance[] {
    return [...this.seen.values()].map(({ instance }) => instance).filter((instance) => instance !== undefined);
  }

  /** Takes a complete set. */
  replace(entries: readonly KeyValueEntry[]): void {
    const next = new Map<string, Seen>();
    for (const entry of entries) {
      // What a reading and the watch both brought: the newer one counts.
      const known = this.seen.get(entry.key);
      if (known !== undefined && known.entry.revision === entry.revision) next.set(entry.key, known);
      else this.put(next, entry);
    }
    this.seen = next;
  }

  /** Takes a change. */
  take(entry: KeyValueEntry): void {
    this.put(this.seen, entry);
  }

  /** Looks up what should have been renewed; true when something has changed. */
  async checkOverdue(bucket: KeyValueBucket, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.shared.host.context;
    let changed = false;
    for (const [key, { entry, dueAt }] of [...this.seen]) {
      if (dueAt > clock.now()) continue;
      const present = await bucket.get(key, signal);
      // Renewed meanwhile, as the watch will have said.
      if (signal.aborted || this.seen.get(key)?.entry !== entry) continue;
      if (present !== undefined && present.revision > entry.revision) this.take(present);
      else this.seen.delete(key);
      changed = true;
    }
    return changed;
  }

  private put(into: Map<string, Seen>, entry: KeyValueEntry): void {
    const known = into.get(entry.key);
    if (known !== undefined && known.entry.revision > entry.revision) return;
    if (entry.operation !== 'PUT') {
      into.delete(entry.key);
      return;
    }
    const { host, settings } = this.shared;
    let { leaseMs } = settings.presence;
    let instance: ServiceInstance | undefined;
    try {
      const record = decodePresence(entry.value);
      leaseMs = record.leaseMs;
      const { registration } = record;
      if (presenceKey(registration.service, registration.instanceId) !== entry.key) {
        throw new Error(`the record says it is of ${registration.service}`);
      }
      instance = toInstance(registration, host.name);
    } catch (error) {
      // Renewals of it are no news: the problem is the version.
      host.skip(`${entry.bucket}: ${entry.key}`, error);
    }
    into.set(entry.key, { entry, instance, dueAt: host.context.clock.now() + leaseMs + SLACK_MS });
  }
}
