import { randomUUID } from 'node:crypto';
import type { BackendContext, BackendDefinition, Logger } from '../backend/index.js';
import { BackendSet, until } from '../backend/machinery/index.js';
import { Balancers, isLaneName, LaneRules } from '../balancing/index.js';
import { coerce, ConfigClient, ConfigSnapshots, ConfigStore, ConfigValues, DiskSnapshot } from '../config/index.js';
import { DiscoveryClient, OVERRIDES, ServiceViews } from '../discovery/index.js';
import {
  Bulkheads,
  CallRouting,
  IncomingHeaders,
  LastingCalls,
  openPools,
  openTransport,
  type PooledTransport,
  routeSettings,
  ServiceCaller,
  ServiceHttpClient,
  type CallOptions,
  type HttpTransport,
  type ResolvedCallOptions,
} from '../http/index.js';
import { DiscoveryError } from '../model/index.js';
import { CallTelemetry, EventHub, EventLog, EventTally, RouteLedger } from '../observability/index.js';
import { AppHealth, ServiceRegistry } from '../registration/index.js';
import { ConfigObjects } from './configuration/config-objects.js';
import { configSettings } from './configuration/config-settings.js';
import { DebugSwitch } from './debug-switch.js';
import { nestLogger } from './nest-logger.js';
import { overridesTold, unknownOverrides } from './startup-advice.js';
import { goesByRequests, type ResolvedOptions } from './resolve-options.js';

/** Everything of one app, put together: the one place that knows all the parts. */
export class DiscoveryRuntime {
  /** Tells the apps of one process apart. */
  readonly appId = randomUUID();
  readonly events: EventHub;
  /** What the events add up to. */
  readonly tally: EventTally;
  /** Hears of the calls of all clients. */
  readonly calls: CallTelemetry;
  readonly logger: Logger = nestLogger('DiscoveryModule');
  readonly backends: BackendSet;
  readonly views: ServiceViews;
  /** What is seen of the instances, and picks of them. */
  readonly balancers: Balancers;
  readonly discovery: DiscoveryClient;
  readonly registry: ServiceRegistry;
  readonly health: AppHealth;
  readonly configStore: ConfigStore;
  readonly configValues: ConfigValues;
  readonly configObjects: ConfigObjects;
  readonly config: ConfigClient;
  /** Sends the calls of all clients. */
  readonly transport: HttpTransport;
  /** Sends what comes from undici's callers and from `fetch`: the same connections, where they are undici's. */
  private readonly pools: PooledTransport;
  /** The sockets and event streams of those. */
  readonly lasting = new LastingCalls();
  /** What a gateway passes on. */
  readonly routed = new RouteLedger();
  readonly bulkheads = new Bulkheads();
  /** For calls that carry on headers of the request in whose course they are made. */
  readonly incoming = new IncomingHeaders();
  private laneRules = LaneRules.none;
  /** What calls go by: their own word, the request in whose course they are made, and rules. */
  readonly routing = new CallRouting(this.incoming, () => this.laneRules, Math.random);
  private readonly clients = new Map<string, ServiceHttpClient>();
  private forwarding = false;
  private readonly debug: DebugSwitch;
  private closing: Promise<void> | undefined;
  /** What is closed when all else is. */
  private readonly last: (() => Promise<void>)[] = [];

  private constructor(readonly options: ResolvedOptions) {
    const { appId } = this;
    this.transport = openTransport(options.transport);
    this.pools = openPools(this.transport, options.transport);
    this.events = new EventHub(appId);
    const report = this.events.report.bind(this.events);
    const { clock, nameFor } = options;
    this.debug = new DebugSwitch(options.debug, nestLogger('Discovery:debug'), clock);
    const log = new EventLog(this.debug.loggerFor('events', this.logger), clock);
    this.events.subscribe((event) => log.write(event));
    this.tally = new EventTally(clock);
    this.events.subscribe(this.tally.take);
    this.calls = new CallTelemetry((error) =>
      report({ type: 'listener.failed', where: 'an observer of calls', error }),
    );
    this.debug.open(this.calls, this.logger, options.uses);
    this.backends = new BackendSet(options.uses, (definition) => this.contextFor(appId, definition));
    const { overrides } = options;
    const sources =
      overrides.names.length === 0
        ? this.backends.discoveries
        : [...this.backends.discoveries, { backend: OVERRIDES, driver: overrides }];
    this.views = new ServiceViews({
      clock,
      sources: this.backends.discoveries,
      overrides,
      nameFor,
      emptyProtectionMs: options.emptyProtectionMs,
      lingerMs: options.lingerMs,
      report,
    });
    this.balancers = new Balancers({
      now: () => clock.now(),
      random: Math.random,
      clientId: appId,
      onGone: ({ url }) => {
        for (const one of new Set([this.transport, this.pools])) one.release(url);
      },
      onEjected: ({ service, id, url }, forMs) =>
        report({ type: 'instance.ejected', service, instanceId: id, url, forMs }),
      onReturned: ({ service, id, url }) => report({ type: 'instance.returned', service, instanceId: id, url }),
    });
    this.discovery = new DiscoveryClient({
      views: this.views,
      sources,
      firstSnapshotTimeoutMs: options.firstSnapshotTimeoutMs,
      balancers: this.balancers,
      routeFor: (service) => routeSettings(options.callOptionsFor(service)),
      contextFor: (service) => this.routing.contextFor(service, options.callOptionsFor(service)),
      calls: this.calls,
    });
    this.health = new AppHealth(clock, options.service?.health, (error) =>
      report({ type: 'listener.failed', where: 'health', error }),
    );
    let healthy: boolean | undefined = true;
    this.health.state.subscribe((state) => {
      if (state.healthy !== healthy)
        report({ type: 'health.changed', healthy: state.healthy === true, failing: state.failing });
      healthy = state.healthy;
    });
    this.registry = new ServiceRegistry({ registries: this.backends.registries, report, nameFor });
    this.configStore = new ConfigStore({
      clock,
      sources: this.backends.configs,
      ...configSettings(options),
      snapshots: options.config.snapshots
        ? new ConfigSnapshots(new DiskSnapshot(options.snapshotDirectory), this.logger, clock)
        : undefined,
      report,
    });
    this.configValues = new ConfigValues(this.configStore);
    this.configObjects = new ConfigObjects(this.configStore);
    this.config = new ConfigClient(this.configStore, this.backends.configs);
  }

  /**
   * Opens the backends and loads the configuration. What was opened is closed again when that fails.
   * @throws DiscoveryError
   */
  static async start(options: ResolvedOptions): Promise<DiscoveryRuntime> {
    const runtime = new DiscoveryRuntime(options);
    if (options.isLocalInProduction) {
      runtime.logger.warn(
        'registry or config was left out, so local() is used, which works between processes of one machine only',
      );
    }
    const { overrides } = options;
    if (overrides.names.length > 0) runtime.logger.warn(overridesTold(overrides));
    try {
      await runtime.backends.open();
      await runtime.loadConfig();
    } catch (error) {
      await runtime.close();
      throw error;
    }
    return runtime;
  }

  /** Whether a client of this app carries on headers of incoming requests. */
  get forwardsHeaders(): boolean {
    return this.options.forwardsHeaders || this.forwarding;
  }

  /** The client of a service; one for each token. */
  clientFor(token: string, service: string, options: CallOptions): ServiceHttpClient {
    let client = this.clients.get(token);
    if (client === undefined) {
      const bound = { service, options: this.callOptionsFor(service, options) };
      client = new ServiceHttpClient(this.caller(bound), service);
      this.clients.set(token, client);
    }
    return client;
  }

  /** The options of a client's calls to a service, whatever they are made by. */
  callOptionsFor(service: string, own: CallOptions): ResolvedCallOptions {
    const options = this.options.callOptionsFor(service, own);
    this.forwarding ||= goesByRequests(options);
    return options;
  }

  /**
   * Gives the header by which calls that no client of ours routes carry on the lane of the request that is being handled;
   * undefined when the app has no lanes.
   */
  laneCarrier(): (() => readonly [name: string, lane: string] | undefined) | undefined {
    const { lane } = this.options.callOptionsFor().routing;
    if (lane === undefined) return undefined;
    const { header = 'x-lane' } = lane;
    return () => {
      const value = this.incoming.get(header);
      return value !== undefined && isLaneName(value) ? [header, value] : undefined;
    };
  }

  /** What makes the calls that others carry out: a gateway. */
  carrier(): ServiceCaller {
    return this.caller();
  }

  /** The client that calls any service. */
  unboundClient(): ServiceHttpClient {
    return new ServiceHttpClient(this.caller(), undefined);
  }

  /**
   * Says which overrides name a service that no registry has and no client of this app calls: a slip of the pen, as a rule.
   * A registry that can't tell is no reason to say anything.
   */
  async checkOverrides(): Promise<void> {
    const { overrides } = this.options;
    if (overrides.names.length === 0) return;
    const lists = await Promise.allSettled(this.backends.discoveries.map(({ driver }) => driver.listServices()));
    if (this.isClosed || lists.some(({ status }) => status === 'rejected')) return;
    const known = new Set(lists.flatMap((list) => (list.status === 'fulfilled' ? list.value : [])));
    for (const { service } of this.clients.values()) if (service !== undefined) known.add(service);
    const unknown = overrides.names.filter((name) => !known.has(name));
    if (unknown.length > 0) this.logger.warn(unknownOverrides(unknown, [...known]));
  }

  /** Opens the watch of a client that somebody in this app uses; one that a test has replaced isn't there. */
  warmUp(token: string): void {
    this.clients.get(token)?.warmUp();
  }

  /**
   * Waits until a registry that is used for registration answers.
   * @throws DiscoveryError `REGISTRATION_FAILED` when one doesn't within the time
   */
  async registriesReady(timeoutMs: number): Promise<void> {
    const names = new Set(this.backends.registries.map(({ backend }) => backend));
    const waiting = this.backends.all.filter((backend) => names.has(backend.name));
    const { clock } = this.options;
    await Promise.all(
      waiting.map(async ({ name, state }) => {
        if (await until(state, ({ phase }) => phase === 'ready', { clock, timeoutMs })) return;
        const { error } = state.current;
        throw registrationFailed(name, error?.message ?? `it didn't answer within ${timeoutMs} ms`, error);
      }),
    );
  }

  /** Closes something when all else is closed: what answers until the end. */
  closeLast(close: () => Promise<void>): void {
    this.last.push(close);
  }

  /** True from the moment that it begins to close. */
  get isClosed(): boolean {
    return this.closing !== undefined;
  }

  /** Releases everything. Never rejects; may be called again. */
  close(): Promise<void> {
    this.closing ??= this.closeParts();
    return this.closing;
  }

  private async closeParts(): Promise<void> {
    // Whatever was not taken out by the shutdown sequence is left to its lease: there is no time to wait any more.
    await Promise.all([
      this.registry.revokeAll(AbortSignal.timeout(this.options.shutdown.deregisterTimeoutMs)),
      this.health.close(),
    ]);
    await Promise.allSettled([this.views.close(), this.configStore.close()]);
    await this.backends.close();
    this.lasting.closeAll();
    await Promise.all([...new Set([this.transport, this.pools])].map((one) => one.close()));
    await Promise.allSettled(this.last.map((close) => close()));
    this.events.close();
    this.debug.close();
  }

  private async loadConfig(): Promise<void> {
    const { schema } = this.options.config;
    await this.configStore.load();
    this.followLaneRules();
    if (schema === undefined) return;
    this.configStore.addValidator((tree) => {
      coerce('the configuration', { value: tree.get('') ?? {} }, { schema });
    });
  }

  /** Rules that don't parse change nothing, as configuration that doesn't fit: the last good ones stay. */
  private followLaneRules(): void {
    const { laneRules: key } = this.options;
    if (key === undefined) return;
    const read = (tree: { get(key: string): unknown }): LaneRules => LaneRules.parse(tree.get(key), key);
    this.configStore.addValidator((tree) => void read(tree));
    this.laneRules = read(this.configStore.current);
    this.configStore.subscribe((tree) => {
      this.laneRules = read(tree);
    });
  }

  private caller(bound?: { readonly service: string; readonly options: ResolvedCallOptions }): ServiceCaller {
    const { all } = this.backends;
    return new ServiceCaller(
      {
        views: this.views,
        resolvers: all.flatMap((backend) => backend.addressResolver ?? []),
        authorizers: all.flatMap((backend) => backend.callAuthorizer ?? []),
        firstSnapshotTimeoutMs: this.options.firstSnapshotTimeoutMs,
        balancers: this.balancers,
        pools: this.pools,
        lasting: this.lasting,
        bulkheads: this.bulkheads,
        clock: this.options.clock,
        calls: this.calls,
        incoming: this.incoming,
        routing: this.routing,
        optionsFor: (service) => this.options.callOptionsFor(service),
      },
      this.transport,
      bound,
    );
  }

  private contextFor(appId: string, definition: BackendDefinition): BackendContext {
    const { application, profiles, zone, clock } = this.options;
    return {
      appId,
      application: { name: application, profiles, ...(zone === undefined ? {} : { zone }) },
      logger: this.debug.loggerFor(definition.kind, nestLogger(`Discovery:${definition.name}`), definition.name),
      clock,
      random: Math.random,
      instances: (service) => this.discovery.getInstances(service),
      report: (event) => this.events.report(event),
    };
  }
}

/** The error of an app that was told not to run unregistered. */
export function registrationFailed(backend: string, reason: string, cause: unknown): DiscoveryError {
  return new DiscoveryError('REGISTRATION_FAILED', `the app can't be registered at ${backend}: ${reason}`, {
    backend,
    ...(cause === undefined ? {} : { cause }),
  });
}
