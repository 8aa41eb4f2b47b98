import {
  BackendBase,
  checkOptions,
  milliseconds,
  text,
  type Backend,
  type BackendContext,
  type BackendDefinition,
  type ConfigDriver,
  type DiscoveryDriver,
  type Lease,
  type PushSource,
  type RegistryDriver,
} from '../backend/index.js';
import { assertName, createServiceInstance, type Registration, type ServiceInstance } from '../model/index.js';
import { InMemoryConfigDriver } from './in-memory-config.js';
import type { InMemoryServer, StoredInstance } from './in-memory-server.js';
import { watched } from './in-memory-source.js';

const CAPABILITIES = { status: 'native', metadata: 'native' } as const;

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
  return {
    kind: 'in-memory',
    name,
    hosts: [],
    create: (context) => new InMemoryBackend(server, name, heartbeatMs, context),
  };
}

/** One app's client of an in-memory server. */
class InMemoryBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  protected override readonly folders = true;
  private unobserve = (): void => {};

  constructor(
    private readonly server: InMemoryServer,
    name: string,
    private readonly heartbeatMs: number,
    context: BackendContext,
  ) {
    super(name, context);
    this.registry = {
      capabilities: CAPABILITIES,
      register: (registration) => this.register(registration),
    };
    this.discovery = {
      emptyIsCertain: true,
      listServices: (signal) => this.listServices(signal),
      watchServices: (report) => this.services(() => namesOf(server), report),
      watch: (service, report) => this.instances(service, () => instancesOf(server, service, name), report),
    };
    this.config = new InMemoryConfigDriver(server, this);
  }

  protected start(): Promise<void> {
    this.unobserve = this.server.observe({ availability: () => this.showAvailability() });
    this.showAvailability();
    return Promise.resolve();
  }

  protected stop(): Promise<void> {
    this.unobserve();
    return Promise.resolve();
  }

  private showAvailability(): void {
    const { failure } = this.server;
    if (failure === undefined) this.health.ok(this.health.session);
    else this.health.failed(this.health.session, failure);
  }

  private register(registration: Registration): Lease {
    const { server } = this;
    const owner = {};
    let arrived = false;
    const put = async (wanted: Registration, signal: AbortSignal): Promise<void> => {
      await server.request('registrations', signal);
      arrived = true;
      server.put(wanted.service, { ...toStored(wanted), owner });
    };
    return this.lease(
      registration,
      {
        register: put,
        change: (wanted, _previous, signal) => put(wanted, signal),
        renew: async ({ service, instanceId }, signal) => {
          await server.request('heartbeats', signal);
          return server.instance(service, instanceId)?.owner === owner ? 'renewed' : 'forgotten';
        },
        mayExist: () => arrived,
        deregister: async ({ service, instanceId }, signal) => {
          await server.request('removals', signal);
          if (server.instance(service, instanceId)?.owner !== owner) return 'absent';
          server.remove(service, instanceId);
          return 'removed';
        },
      },
      {
        capabilities: CAPABILITIES,
        renewEveryMs: () => this.heartbeatMs,
        // An outage in a test lasts milliseconds.
        backoff: { initialMs: 20, maxMs: 200 },
        onEvent: ({ type }) => {
          if (type === 'registration.left') server.abandon(owner);
        },
      },
    );
  }

  private async listServices(signal: AbortSignal | undefined): Promise<readonly string[]> {
    this.assertOpen();
    await this.server.request('reads', signal);
    return this.server.serviceNames();
  }
}

/** The instances of one service, as the server pushes them. */
function instancesOf(server: InMemoryServer, service: string, backend: string): PushSource<readonly ServiceInstance[]> {
  const built = new WeakMap<StoredInstance, ServiceInstance>();
  return watched(server, 'Watches', {
    what: `the instances of ${service}`,
    value: () =>
      server.instancesOf(service).map((stored) => {
        let instance = built.get(stored);
        if (instance === undefined) {
          instance = createServiceInstance({ ...stored, service, backend });
          built.set(stored, instance);
        }
        return instance;
      }),
    changes: (look) => ({ instances: (changed) => changed === service && look() }),
  });
}

/** The names of the services, as the server pushes them. */
function namesOf(server: InMemoryServer): PushSource<readonly string[]> {
  return watched(server, 'Watches', {
    what: 'the services',
    value: () => server.serviceNames(),
    changes: (look) => ({ instances: look }),
  });
}

function toStored(registration: Registration): StoredInstance {
  const { instanceId: id, host, port, scheme, status, metadata, tags, weight, zone } = registration;
  return { id, host, port, scheme, status, metadata, tags, weight, ...(zone === undefined ? {} : { zone }) };
}
