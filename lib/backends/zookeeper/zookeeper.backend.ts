import {
  BackendBase,
  type AddressResolver,
  type Backend,
  type BackendContext,
  type CallAuthorizer,
  type ConfigDriver,
  type DiscoveryDriver,
  type RegistryDriver,
} from '../../backend/index.js';
import { defined } from '../../model/index.js';
import { AsabAuthorization } from './asab/asab.authorization.js';
import { AsabDiscoveryDriver } from './asab/asab.discovery.js';
import { AsabIdentity } from './asab/asab.identity.js';
import { InternalAuth } from './asab/asab.internal-auth.js';
import { AsabLeaseNode } from './asab/asab.lease.js';
import { AsabDiscovery } from './asab/asab.locator.js';
import type { AsabSettings } from './asab/asab.options.js';
import { AsabAddressResolver } from './asab/asab.resolver.js';
import { AsabRun } from './asab/asab.run.js';
import { AsabTools } from './asab/asab.tools.js';
import { childPath } from './client/paths.js';
import { ZooKeeperClient } from './client/zookeeper-client.js';
import { encodeCuratorInstance } from './curator/curator.codec.js';
import { CuratorDiscoveryDriver } from './curator/curator.discovery.js';
import { CuratorLeaseNode } from './curator/curator.lease.js';
import { ZooKeeperConfigDriver } from './zookeeper.config.js';
import type { ZooKeeperSettings } from './zookeeper.options.js';
import { ZooKeeperRegistryDriver, type ZooKeeperRegistryOptions } from './zookeeper.registry.js';

/** One app's ZooKeeper backend: one session, shared by its drivers. */
export class ZooKeeperBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  readonly addressResolver?: AddressResolver;
  readonly callAuthorizer?: CallAuthorizer;
  /** ASAB's own ways to find and to call others; with the ASAB layout only. */
  readonly asab?: AsabTools;
  /** The session, for everything else that ZooKeeper can do. */
  readonly client: ZooKeeperClient;
  protected override readonly folders: boolean;

  constructor(settings: ZooKeeperSettings, context: BackendContext) {
    super(settings.name, context);
    this.folders = settings.layout.kind === 'curator';
    const { name: backend, rescanMs, servers, sessionTimeoutMs, connectTimeoutMs, requestTimeoutMs } = settings;
    this.client = new ZooKeeperClient({
      servers,
      sessionTimeoutMs,
      connectTimeoutMs,
      requestTimeoutMs,
      auth: settings.auth,
      access: settings.access,
      ...defined({ tls: settings.tls }),
      name: backend,
      logger: this.context.logger,
      clock: context.clock,
      random: () => context.random(),
      onListenerError: (error) =>
        context.report({ type: 'listener.failed', where: `the session of ${backend}`, error }),
    });
    const shared = {
      client: this.client,
      rescanMs,
      // As often as a session says that it lives.
      maxRetryMs: Math.min(10_000, sessionTimeoutMs / 3),
    };
    this.config = new ZooKeeperConfigDriver(this, { ...shared, ...settings.config });
    if (settings.layout.kind === 'curator') {
      const { basePath, payload } = settings.layout;
      const node = { host: this, client: this.client };
      this.discovery = new CuratorDiscoveryDriver(this, { ...shared, basePath });
      this.registry = new ZooKeeperRegistryDriver(this, {
        ...shared,
        fixedPaths: true,
        // What its own payload throws, it throws to who registers.
        check: (registration) => void encodeCuratorInstance(registration, 0, payload),
        createNode: (onEvent) => new CuratorLeaseNode(node, { basePath, payload }, onEvent),
      });
    } else {
      const parts = this.asabParts(settings.layout.settings, shared);
      this.discovery = parts.discovery;
      this.registry = parts.registry;
      this.addressResolver = parts.resolver;
      this.callAuthorizer = parts.tools.authorization;
      this.asab = parts.tools;
    }
    this.client.state.subscribe(({ phase }) => {
      const { session } = this.health;
      if (phase === 'connected') this.health.ok(session);
      else if (this.client.outage !== undefined && phase !== 'closed') this.health.failed(session, this.client.outage);
    });
  }

  protected start(): Promise<void> {
    return this.client.open();
  }

  protected stop(): Promise<void> {
    return this.client.close();
  }

  private asabParts(settings: AsabSettings, shared: Omit<ZooKeeperRegistryOptions, 'createNode' | 'fixedPaths'>) {
    const { client, name: backend } = this;
    const { logger, clock } = this.context;
    const path = childPath(settings.path, 'run');
    const identity = new AsabIdentity(settings, logger, backend);
    const run = new AsabRun({ host: this, client, path, rescanMs: shared.rescanMs });
    const registry = new ZooKeeperRegistryDriver(this, {
      ...shared,
      fixedPaths: false,
      createNode: (onEvent) => new AsabLeaseNode({ host: this, client }, path, identity, onEvent),
    });
    const discovery = new AsabDiscoveryDriver(this, client, run);
    const resolver = new AsabAddressResolver(this, run);
    const internal = new InternalAuth({
      context: this.context,
      backend,
      client,
      assertOpen: () => this.assertOpen(),
      ownUrl: () => identity.ownUrl(registry.registrations[0]),
      ownHost: () => identity.hostFor(registry.registrations[0]),
      now: () => clock.now(),
    });
    const tools = new AsabTools(
      new AsabDiscovery({ host: this, run, registry, identity, readyTimeoutMs: settings.readyTimeoutMs }),
      new AsabAuthorization({ backend, logger, mode: settings.authorization, internal }),
      internal,
    );
    this.adopt(() => resolver.close());
    this.adopt(() => tools.close());
    return { registry, discovery, resolver, tools };
  }
}
