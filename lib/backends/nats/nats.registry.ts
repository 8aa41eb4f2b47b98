import { randomUUID } from 'node:crypto';
import type { Lease, LeaseOperations, LeaseRecord, RegistryDriver, Removal } from '../../backend/index.js';
import { codeOf, messageOf, type Registration } from '../../model/index.js';
import { decodePresence, encodePresence, presenceKey, toHttpMetadata } from './nats.codec.js';
import type { NatsShared } from './nats.shared.js';
import type { KeyValueBucket } from './jetstream/key-value.js';
import type { KeyValueEntry } from './jetstream/key-value.codec.js';
import { assertServiceName } from './service/names.js';
import { addService, type NatsServiceHandle } from './service/service.js';

/** The write side: a record in the presence bucket, or a micro service that answers for the instance. */
export class NatsRegistryDriver implements RegistryDriver {
  readonly capabilities;

  constructor(private readonly shared: NatsShared) {
    const emulated = shared.presence === undefined;
    this.capabilities = emulated
      ? ({ status: 'emulated', metadata: 'emulated' } as const)
      : ({ status: 'native', metadata: 'native' } as const);
  }

  register(registration: Registration): Lease {
    const { shared } = this;
    const { host, settings, presence, session } = shared;
    const record = presence === undefined ? undefined : new PresenceOperations(shared, presence);
    const service = new ServiceOperations(shared);
    return host.lease(registration, record ?? service, {
      capabilities: this.capabilities,
      renewEveryMs: () => (record?.leaseMs() ?? settings.presence.leaseMs) / 3,
      timeoutMs: settings.connection.requestTimeoutMs,
      backoff: { initialMs: 200, maxMs: 5000 },
      check: (wanted) => {
        if (record === undefined) assertServiceName(wanted.service, 'service');
      },
      follow: (lease) => {
        // After a reconnection at once: the server may have been restarted without its data.
        const leave = session.state.subscribe(({ phase }) => {
          if (phase !== 'connected') return;
          if (lease.state.current.phase === 'registered') lease.renewNow();
          else lease.forgotten();
        });
        return () => {
          leave();
          // Also when nobody waited for the server: on a connection that is the app's own it would go on to answer.
          void service.stop();
        };
      },
    });
  }
}

/** The record of one lease. */
class PresenceOperations implements LeaseOperations {
  private readonly owner = randomUUID();
  private revision: number | undefined;
  private sent = false;
  private bucketTtlMs = 0;
  private warned = false;

  constructor(
    private readonly shared: NatsShared,
    private readonly bucket: KeyValueBucket,
  ) {}

  /** The bucket may forget sooner than we would: somebody else made it. */
  leaseMs(): number {
    const { leaseMs } = this.shared.settings.presence;
    return this.bucketTtlMs > 0 ? Math.min(leaseMs, this.bucketTtlMs) : leaseMs;
  }

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    const { session } = this.shared;
    await session.settled(signal);
    // Doesn't wait for a connection: the lease is woken when there is one.
    void session.connection;
    this.bucketTtlMs = (await this.bucket.open(signal)).ttlMs;
    this.sent = true;
    this.revision = await this.bucket.put(this.keyOf(registration), this.valueOf(registration), this.options(signal));
  }

  async renew(registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'> {
    const { revision } = this;
    if (revision === undefined) return 'forgotten';
    const key = this.keyOf(registration);
    try {
      // Only over our own last one: a renewal never brings back what was removed.
      this.revision = await this.bucket.update(key, this.valueOf(registration), revision, this.options(signal));
      return 'renewed';
    } catch (error) {
      if (codeOf(error) !== 'CONFIG_CONFLICT') throw error;
    }
    const present = await this.bucket.get(key, signal);
    const record = readRecord(present);
    if (present === undefined || record === undefined) return 'forgotten';
    if (record.owner === this.owner) {
      // A renewal that was given up as too slow has arrived after all.
      this.revision = present.revision;
      return 'renewed';
    }
    return this.yieldsTo(record, present, registration) ? 'renewed' : 'forgotten';
  }

  mayExist(): boolean {
    return this.sent;
  }

  async deregister(registration: Registration, signal: AbortSignal): Promise<Removal> {
    const key = this.keyOf(registration);
    for (let attempt = 0; ; attempt += 1) {
      const present = await this.bucket.get(key, signal);
      if (present === undefined || present.operation !== 'PUT') return 'absent';
      const record = readRecord(present);
      // Unreadable under our name: nobody else would remove it.
      if (record !== undefined && record.owner !== this.owner) return 'absent';
      try {
        await this.bucket.purge(key, { ...this.options(signal), ifRevision: present.revision });
        return 'removed';
      } catch (error) {
        if (codeOf(error) !== 'CONFIG_CONFLICT' || attempt >= 3) throw error;
      }
    }
  }

  /**
   * Two living processes with the same instance id: the one that came later has the record, as in a restart that
   * overlaps. To take it back would make both take it from each other for ever.
   */
  private yieldsTo(record: LeaseRecord, present: KeyValueEntry, registration: Registration): boolean {
    const { context, name } = this.shared.host;
    if (context.clock.now() - present.at > record.leaseMs * 2) return false;
    if (!this.warned) {
      this.warned = true;
      context.logger.warn(
        `${name}: another process registered ${registration.instanceId} too, at ` +
          `${record.registration.host}:${record.registration.port}; give each instance its own id`,
      );
    }
    return true;
  }

  private keyOf({ service, instanceId }: Registration): string {
    return presenceKey(service, instanceId);
  }

  private valueOf(registration: Registration): Uint8Array {
    return encodePresence({ registration, leaseMs: this.leaseMs(), owner: this.owner });
  }

  private options(signal: AbortSignal): { readonly signal: AbortSignal; readonly ttlMs: number } {
    return { signal, ttlMs: this.leaseMs() };
  }
}

function readRecord(entry: KeyValueEntry | undefined): LeaseRecord | undefined {
  if (entry === undefined || entry.operation !== 'PUT') return undefined;
  try {
    return decodePresence(entry.value);
  } catch {
    return undefined;
  }
}

/** Without JetStream: a micro service whose metadata says where the instance answers HTTP. */
class ServiceOperations implements LeaseOperations {
  private service: NatsServiceHandle | undefined;
  private started = false;

  constructor(private readonly shared: NatsShared) {}

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    const { host, session, settings } = this.shared;
    await this.stop();
    await session.settled(signal);
    const { connection } = session;
    // Metadata never change while a service lives (ADR-32): a change is another service under the same name.
    const service = addService(connection, {
      name: registration.service,
      version: versionOf(registration),
      description: `HTTP instances of ${registration.service}`,
      metadata: toHttpMetadata(registration),
      apiPrefix: settings.apiPrefix,
      inboxPrefix: session.inboxPrefix,
      clock: host.context.clock,
      drainTimeoutMs: 1000,
      onError: (error) => host.context.logger.warn(`${host.name}: ${messageOf(error)}`),
    });
    this.service = service;
    this.started = true;
    const starting = service.start();
    starting.catch(() => {});
    await session.flush(signal);
  }

  async renew(_registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'> {
    if (this.service === undefined || this.service.isStopped) return 'forgotten';
    await this.shared.session.flush(signal);
    return 'renewed';
  }

  mayExist(): boolean {
    return this.started;
  }

  async deregister(_registration: Registration, signal: AbortSignal): Promise<Removal> {
    await this.stop();
    await this.shared.session.flush(signal);
    return 'removed';
  }

  async stop(): Promise<void> {
    const { service } = this;
    this.service = undefined;
    await service?.stop();
  }
}

function versionOf(registration: Registration): string {
  const { version } = registration.metadata;
  return version !== undefined && /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)$/.test(version) ? version : '0.0.0';
}
