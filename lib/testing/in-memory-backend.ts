import {
  BackendBase,
  checkOptions,
  LeaseKeeper,
  milliseconds,
  Reporter,
  text,
  type Backend,
  type BackendContext,
  type BackendDefinition,
  type ConfigDriver,
  type DiscoveryDriver,
  type DiscoveryReport,
  type Lease,
  type RegistryDriver,
  type Watch,
} from '../backend/index.js';
import {
  assertName,
  createServiceInstance,
  DiscoveryError,
  keepIdentity,
  toDiscoveryError,
  type Registration,
  type ServiceInstance,
} from '../model/index.js';
import { InMemoryConfigDriver } from './in-memory-config.js';
import type { InMemoryServer, StoredInstance } from './in-memory-server.js';

export { assertDocumentId, formatOfId } from './in-memory-config.js';

/** Options of an in-memory backend. */
export interface InMemoryBackendOptions {
  /** Unique within an app. @default 'in-memory' */
  readonly name?: string;
  /** Milliseconds between the heartbeats of a registration; what was forgotten comes back with the next. @default 5000 */
  readonly heartbeatMs?: number;
}

/** A definition that makes clients of `server`. */
export function defineInMemoryBackend(server: InMemoryServer, options: InMemoryBackendOptions): BackendDefinition {
  checkOptions('inMemory()', options, { name: text, heartbeatMs: milliseconds(1) });
  const name = options.name ?? 'in-memory';
  assertName(name, 'name');
  const heartbeatMs = options.heartbeatMs ?? 5000;
  return { kind: 'in-memory', name, create: (context) => new InMemoryBackend(server, name, heartbeatMs, context) };
}

/** One app's client of an in-memory server. */
class InMemoryBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  /** Everything that `close()` must end. */
  private readonly owned = new Set<() => Promise<unknown>>();
  private unobserve = (): void => {};

  constructor(
    private readonly server: InMemoryServer,
    name: string,
    private readonly heartbeatMs: number,
    context: BackendContext,
  ) {
    super(name, context);
    this.registry = {
      capabilities: { status: 'native', metadata: 'native' },
      register: (registration) => this.register(registration),
    };
    this.discovery = {
      emptyIsCertain: true,
      listServices: (signal) => this.listServices(signal),
      watch: (service, report) => this.watch(service, report),
    };
    this.config = new InMemoryConfigDriver(server, context, name, {
      assertOpen: () => this.assertOpen(),
      own: (close) => this.own(close),
    });
  }

  protected start(): Promise<void> {
    this.unobserve = this.server.observe({ availability: () => this.showAvailability() });
    this.showAvailability();
    return Promise.resolve();
  }

  protected async stop(): Promise<void> {
    this.unobserve();
    await Promise.all([...this.owned].map((close) => close()));
  }

  private showAvailability(): void {
    const { failure } = this.server;
    if (failure === undefined) this.setReady();
    else this.setDegraded(failure);
  }

  /** Keeps `close` until the returned function is called. */
  private own(close: () => Promise<unknown>): () => void {
    this.owned.add(close);
    return () => void this.owned.delete(close);
  }

  private register(registration: Registration): Lease {
    this.assertOpen();
    const { server } = this;
    const owner = {};
    const put = async (wanted: Registration, signal: AbortSignal): Promise<void> => {
      await server.request('registrations', signal);
      server.put(wanted.service, { ...toStored(wanted), owner });
    };
    let disown = (): void => {};
    const lease = new LeaseKeeper(registration, {
      clock: this.context.clock,
      backend: this.name,
      capabilities: this.registry.capabilities,
      renewEveryMs: () => this.heartbeatMs,
      // An outage in a test lasts milliseconds.
      backoff: { initialMs: 20, maxMs: 200 },
      random: () => this.context.random(),
      operations: {
        register: put,
        change: (wanted, _previous, signal) => put(wanted, signal),
        renew: async ({ service, instanceId }, signal) => {
          await server.request('heartbeats', signal);
          return server.instance(service, instanceId)?.owner === owner ? 'renewed' : 'forgotten';
        },
        deregister: async ({ service, instanceId }, signal) => {
          await server.request('removals', signal);
          if (server.instance(service, instanceId)?.owner === owner) server.remove(service, instanceId);
        },
      },
      report: (event) => {
        if (event.type === 'registration.left') server.abandon(owner);
        this.context.report(event);
      },
      onRevoked: () => disown(),
    });
    // An aborted signal: what wasn't revoked when the backend closes is left to expire, without a word to the server.
    disown = this.own(() => lease.revoke(AbortSignal.abort()));
    return lease;
  }

  private async listServices(signal: AbortSignal | undefined): Promise<readonly string[]> {
    this.assertOpen();
    await this.server.request('reads', signal);
    return this.server.serviceNames();
  }

  private watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    this.assertOpen();
    assertName(service, 'service');
    let disown = (): void => {};
    const watch = new InMemoryWatch(this.server, this.context, this.name, service, report, () => disown());
    disown = this.own(() => watch.close());
    return watch;
  }
}

/** Reports the instances of one service after every change. */
class InMemoryWatch implements Watch {
  private readonly reporter: Reporter<DiscoveryReport>;
  private readonly closing = new AbortController();
  private readonly unobserve: () => void;
  private readonly built = new WeakMap<StoredInstance, ServiceInstance>();
  private last: readonly ServiceInstance[] | undefined;
  private lastError: DiscoveryError | undefined;

  constructor(
    private readonly server: InMemoryServer,
    context: BackendContext,
    private readonly backend: string,
    private readonly service: string,
    report: (report: DiscoveryReport) => void,
    private readonly onClosed: () => void,
  ) {
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `watch of ${service} on ${backend}`, error }),
    );
    server.stats.openWatches += 1;
    server.stats.watchesOpened += 1;
    this.unobserve = server.observe({
      instances: (changed) => {
        if (changed === service) this.look();
      },
      availability: () => this.look(),
    });
    // Failures are reported by the reading itself.
    this.refresh().catch(() => {});
  }

  async refresh(): Promise<void> {
    try {
      await this.server.request('reads', this.closing.signal);
    } catch (error) {
      if (this.closing.signal.aborted) throw this.closedError();
      const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.service} could not be read`);
      await this.sendError(failure);
      throw failure;
    }
    if (this.closing.signal.aborted) throw this.closedError();
    await this.sendList(this.instances());
  }

  close(): Promise<void> {
    if (this.closing.signal.aborted) return Promise.resolve();
    this.closing.abort();
    this.unobserve();
    this.reporter.close();
    this.server.stats.openWatches -= 1;
    this.onClosed();
    return Promise.resolve();
  }

  /** Tells what changed since the last report, if the server would. */
  private look(): void {
    if (this.server.paused) return;
    const { failure } = this.server;
    if (failure !== undefined) {
      if (failure !== this.lastError) void this.sendError(failure);
      return;
    }
    const next = this.instances();
    // The first list is the first reading's to report.
    const news = this.lastError !== undefined || (this.last !== undefined && next !== this.last);
    if (news) void this.sendList(next);
  }

  private instances(): readonly ServiceInstance[] {
    const next = this.server.instancesOf(this.service).map((stored) => {
      const known = this.built.get(stored);
      if (known !== undefined) return known;
      const instance = createServiceInstance({ ...stored, service: this.service, backend: this.backend });
      this.built.set(stored, instance);
      return instance;
    });
    return keepIdentity(this.last ?? [], next);
  }

  private sendList(instances: readonly ServiceInstance[]): Promise<void> {
    this.last = instances;
    this.lastError = undefined;
    return this.reporter.send({ instances });
  }

  private sendError(error: DiscoveryError): Promise<void> {
    this.lastError = error;
    return this.reporter.send({ error });
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', `the watch of ${this.service} was closed`, {
      service: this.service,
      backend: this.backend,
    });
  }
}

function toStored(registration: Registration): StoredInstance {
  const { instanceId: id, host, port, scheme, status, metadata, weight, zone } = registration;
  return { id, host, port, scheme, status, metadata, weight, ...(zone === undefined ? {} : { zone }) };
}
