import { Host, systemClock, TroubleLog, type LeaseKeeper, type Unsubscribe } from '../../../backend/index.js';
import {
  createRegistration,
  describe,
  DiscoveryError,
  messageOf,
  NoSnapshotError,
  type DiscoveryEvent,
  type InstanceStatus,
  type Registration,
} from '../../../model/index.js';
import { Applications, type Application } from '../eureka.applications.js';
import { EurekaRegistryDriver, type OwnRecord } from '../eureka.registry.js';
import type { EurekaApi } from './api.js';
import { ClientLogger, consoleLogger } from './client-logger.js';
import {
  ERROR_DISCOVER,
  ERROR_REGISTER,
  ERROR_STATUS_UPDATE,
  resolveClientOptions,
  type EurekaClientOptions,
  type EurekaClientSettings,
  type EurekaErrorType,
} from './client-options.js';
import { prepareCall, type DoServiceOptions, type WalkNodesOptions } from './do-service.js';
import { assertNetworks, resolveOwnAddress } from './own-address.js';
import type { RegistryPoller } from './registry-poller.js';
import { EurekaSession } from './session.js';
import { NodePicker, walkNodes, type Walker } from './walker.js';

/** How long `stop()` tries at most when no server ever had the registration, in milliseconds. */
const UNREGISTERED_STOP_MS = 500;

/** What fails again and again by itself, as the log calls it. */
const REGISTRATION = 'the registration';
const READING = 'reading the registry';

/**
 * A complete Eureka client that needs no framework: registers, keeps the registration, knows the registry, calls
 * services by name.
 *
 * ```ts
 * const client = new EurekaClient({ serviceUrls: 'http://peer1:8761,http://peer2:8761', appName: 'orders', instancePort: 9090 });
 * await client.start();
 * const quote = await client.doService('STOCK', '/quote', { returnType: 'json' });
 * await client.stop();
 * ```
 */
export class EurekaClient {
  /** Where the client writes; its level and its outputs can be changed at any time. */
  readonly logger: ClientLogger;
  private readonly settings: EurekaClientSettings;
  private readonly host: Host;
  private readonly session: EurekaSession;
  private readonly driver: EurekaRegistryDriver;
  private readonly poller: RegistryPoller | undefined;
  private readonly picker: NodePicker;
  private readonly subscriptions = new Set<{ readonly app: string; tell(application: Application): void }>();
  private lease: LeaseKeeper | undefined;
  private record: OwnRecord | undefined;
  private wasRegistered = false;
  /** The last read of the registry failed. */
  private readonly troubles: TroubleLog;
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;

  /** Nothing happens before {@link start}. @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field */
  constructor(options: EurekaClientOptions) {
    this.settings = resolveClientOptions(options);
    assertNetworks(options);
    const { eureka } = this.settings;
    const outputs = options.logger ?? consoleLogger;
    this.logger = new ClientLogger('error' in outputs ? [outputs] : outputs, options.logLevel ?? 'log');
    this.troubles = new TroubleLog(this.logger, systemClock);
    this.host = new Host(eureka.name, {
      logger: this.logger,
      clock: systemClock,
      random: Math.random,
      report: (event) => this.heard(event),
    });
    this.session = new EurekaSession(this.host, eureka);
    this.driver = new EurekaRegistryDriver(this.host, this.session, eureka, (app, id) =>
      this.poller?.isFresh === true && eureka.read.vipAddress === undefined
        ? { instance: this.applications.getApplication(app).getInstance(id) }
        : undefined,
    );
    this.poller = options.shouldDiscover === false ? undefined : this.session.createPoller();
    this.poller?.listen({
      polled: (changed) => this.tellOf(changed),
      failed: (error) => this.pollFailed(error),
    });
    this.picker = new NodePicker(options.haStrategy ?? 'random', eureka.connection.preferSameZone, Math.random);
  }

  /** The own zone; `default` when none is known. */
  get zone(): string {
    return this.session.servers.zone;
  }

  /** The registry as last read; empty before that. Another object after each change. */
  get applications(): Applications {
    return this.poller?.applications ?? new Applications(new Map());
  }

  /** When the registry was last read, in milliseconds since the epoch; undefined before the first time. */
  get asOf(): number | undefined {
    return this.poller?.asOf;
  }

  /** What is registered, or wanted to be; undefined before `start()` and for a client that only calls others. */
  get registration(): Registration | undefined {
    return this.lease?.registration;
  }

  /** True while the registration is in force, as far as is known. */
  get isRegistered(): boolean {
    return this.lease?.state.current.phase === 'registered';
  }

  /** What an operator set for this instance at the server; `UNKNOWN` when nobody did. */
  get overriddenStatus(): InstanceStatus {
    return this.record?.overriddenStatus ?? 'UNKNOWN';
  }

  /** Base URLs of the servers, in the order in which they are tried. */
  get serverUrls(): readonly string[] {
    return this.session.servers.urls;
  }

  /** Eureka's own operations, one by one, with failover. */
  get api(): EurekaApi {
    return this.session.api;
  }

  /**
   * Registers, begins with the heartbeats and with reading the registry. Resolves when the first registration and the
   * first read have ended, well or not: what failed is told to `onError` and tried on. Again gives the same promise.
   *
   * @throws DiscoveryError `INVALID_OPTION` when no address of this machine is as the options want it; `BACKEND_CLOSED`
   * after {@link stop}
   */
  start(): Promise<void> {
    if (this.stopping !== undefined) return Promise.reject(this.stoppedError());
    this.starting ??= this.begin();
    return this.starting;
  }

  /**
   * Takes the registration back and ends everything. Safe from inside a callback, and more than once. Never rejects.
   */
  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  /** Reads the registry now. @throws DiscoveryError when no server answered */
  async refresh(): Promise<void> {
    this.assertRunning();
    await this.readingPoller().refresh();
  }

  /**
   * Calls `listener` with a service whenever it changed. A listener that throws hurts nobody.
   *
   * @param name case doesn't matter
   */
  subscribe(name: string, listener: (application: Application) => void): Unsubscribe {
    const subscription = { app: name.toUpperCase(), tell: listener };
    this.subscriptions.add(subscription);
    return () => void this.subscriptions.delete(subscription);
  }

  /**
   * Changes the own status; resolves when the server has it. An operator's word, see {@link statusUpdate}, stays above it.
   */
  setStatus(status: InstanceStatus): Promise<void> {
    return this.registered().setStatus(status);
  }

  /** Replaces the metadata; resolves when the server has it. */
  setMetadata(metadata: Readonly<Record<string, string | number | boolean>>): Promise<void> {
    return this.registered().update({ metadata });
  }

  /**
   * Sets a status over what the instance says of itself, as an operator would: it stays until
   * {@link deleteStatusOverride}.
   *
   * @throws DiscoveryError when no server took it (which `onError` is told too)
   */
  async statusUpdate(status: InstanceStatus): Promise<void> {
    const { service, instanceId } = this.registered().registration;
    await this.changing(async () => {
      if (!(await this.api.statusUpdate(service, instanceId, status))) throw this.unknownInstance(instanceId);
    });
  }

  /** Ends what {@link statusUpdate} set: the status is again the instance's own. */
  async deleteStatusOverride(): Promise<void> {
    const { service, instanceId, status } = this.registered().registration;
    await this.changing(async () => {
      if (!(await this.api.deleteStatusOverride(service, instanceId, status))) throw this.unknownInstance(instanceId);
    });
  }

  /** Sends a heartbeat now, instead of when the next one is due. */
  sendHeartbeat(): void {
    this.lease?.renewNow();
  }

  /**
   * Calls a service by name: one node, and the next ones when that fails, until one succeeds.
   *
   * @param path such as `/orders/7?full=true`
   * @throws WalkNodesError (`NO_INSTANCE`) when all nodes failed or there is none, with each attempt's error;
   * `NO_SNAPSHOT` when the registry couldn't be read yet; `ABORTED` with the signal
   */
  doService<T>(name: string, path: string, options: DoServiceOptions & { readonly returnType: 'json' }): Promise<T>;
  doService<T>(name: string, path: string, options: DoServiceOptions & { readonly returnType: 'response' }): Promise<T>;
  doService(
    name: string,
    path: string,
    options?: DoServiceOptions & { readonly returnType?: 'string' | undefined },
  ): Promise<string>;
  async doService(name: string, path: string, options: DoServiceOptions = {}): Promise<unknown> {
    const { call, read } = prepareCall(this.session.http, name, options);
    return read(await this.walkNodes(name, path, call, options));
  }

  /**
   * Lets `walker` call a service: with the URL on one node, and on the next ones when its call fails: no connection,
   * a time-out, an HTTP error. Whatever else it throws is thrown as it is.
   *
   * @returns what the walker returned
   * @throws as {@link doService}
   */
  async walkNodes<T>(name: string, path: string, walker: Walker<T>, options: WalkNodesOptions = {}): Promise<T> {
    this.assertRunning();
    const poller = this.readingPoller();
    if (poller.asOf === undefined) await this.firstRead(poller, name);
    const { read } = this.settings.eureka;
    return walkNodes(this.picker, () => this.applications.getApplication(name), name, path, walker, {
      preferIp: options.preferIp ?? read.preferIp,
      preferHttps: options.preferHttps ?? read.preferHttps,
      nextNodeOnHttpError: options.nextNodeOnHttpError ?? this.settings.options.nextNodeOnHttpError ?? true,
      zone: this.zone,
      signal: options.signal,
    });
  }

  private async begin(): Promise<void> {
    this.session.start();
    this.poller?.start();
    const firstRead = this.poller?.firstOutcome;
    const { application } = this.settings;
    if (application !== undefined) await this.beginLease(application.name, application.port);
    await firstRead;
  }

  private async beginLease(service: string, port: number): Promise<void> {
    const { options } = this.settings;
    const { host, ip } = await resolveOwnAddress(options, this.host.context.clock);
    const amazon = await this.session.amazon();
    if (this.stopping !== undefined) return;
    const shownIp = amazon?.['local-ipv4'] ?? ip;
    const registration = createRegistration({
      service,
      instanceId: options.instanceId ?? `${shownIp}:${service.toLowerCase()}:${port}`,
      host,
      ip,
      port,
      status: options.initialStatus ?? 'UP',
      metadata: options.metadata ?? {},
    });
    const { lease, record } = this.driver.keep(registration);
    this.lease = lease;
    this.record = record;
    await new Promise<void>((resolve) => {
      const unsubscribe = lease.state.subscribe(({ phase }) => {
        if (phase === 'pending') return;
        unsubscribe();
        resolve();
      });
    });
  }

  private async end(): Promise<void> {
    // Callbacks may run in the very loops that are ended here; they aren't waited for.
    await Promise.resolve();
    const { stopTimeoutMs = 5000 } = this.settings.options;
    // A server that never took the registration is hardly worth the wait.
    const revoking = this.lease?.revoke(
      AbortSignal.timeout(this.wasRegistered ? stopTimeoutMs : Math.min(stopTimeoutMs, UNREGISTERED_STOP_MS)),
    );
    await Promise.all([revoking, this.poller?.stop()]);
    // A start that was on its way to register sees that it must not.
    await this.starting?.catch(() => {});
    await this.host.close();
    await this.session.close();
    this.subscriptions.clear();
    this.logger.flush();
  }

  private async firstRead(poller: RegistryPoller, service: string): Promise<void> {
    try {
      await poller.refresh();
    } catch (error) {
      this.assertRunning();
      throw new NoSnapshotError(service, `nobody could say yet which instances ${service} has: ${messageOf(error)}`, {
        cause: error,
        backend: this.settings.eureka.name,
      });
    }
  }

  private readingPoller(): RegistryPoller {
    if (this.poller !== undefined) return this.poller;
    throw new DiscoveryError('UNSUPPORTED', 'this client was told not to read the registry (shouldDiscover: false)', {
      field: 'shouldDiscover',
    });
  }

  private registered(): LeaseKeeper {
    if (this.lease !== undefined) return this.lease;
    throw new DiscoveryError('UNSUPPORTED', 'this client has registered nothing: call start() of one that registers');
  }

  private async changing(operation: () => Promise<void>): Promise<void> {
    try {
      await operation();
    } catch (error) {
      if (error instanceof DiscoveryError) this.failed(ERROR_STATUS_UPDATE, error);
      throw error;
    }
  }

  private heard(event: DiscoveryEvent): void {
    if (event.type === 'registration.registered') {
      this.wasRegistered = true;
      this.troubles.works(REGISTRATION);
    } else if (event.type === 'registration.failed') {
      this.failed(this.record?.isChanging === true ? ERROR_STATUS_UPDATE : ERROR_REGISTER, event.error);
    } else if (event.type === 'record.skipped') {
      this.logger.warn(`${event.record} was left out: ${messageOf(event.error)}`);
    } else if (event.type === 'listener.failed') {
      this.logger.error(`${event.where} threw: ${messageOf(event.error)}`);
    }
  }

  private failed(type: EurekaErrorType, error: DiscoveryError): void {
    if (type !== ERROR_DISCOVER) this.troubles.failed(REGISTRATION, error);
    const { onError } = this.settings.options;
    // What is given up because of stop() hasn't failed.
    if (onError === undefined || this.stopping !== undefined) return;
    void (async () => onError(type, error))().catch((thrown: unknown) => {
      this.logger.error(`onError threw: ${messageOf(thrown)}`);
    });
  }

  private pollFailed(error: DiscoveryError): void {
    const kept = this.asOf === undefined ? 'nothing is known yet' : 'what is known is served on';
    this.troubles.failed(READING, error, `${kept}, and it is tried again`);
    this.failed(ERROR_DISCOVER, error);
  }

  private tellOf(changed: ReadonlySet<string>): void {
    this.troubles.works(READING);
    for (const { app, tell } of Array.from(this.subscriptions)) {
      if (!changed.has(app)) continue;
      try {
        tell(this.applications.getApplication(app));
      } catch (error) {
        this.logger.error(`a subscriber of ${app} threw: ${messageOf(error)}`);
      }
    }
  }

  private assertRunning(): void {
    if (this.stopping !== undefined) throw this.stoppedError();
  }

  private stoppedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', 'this Eureka client was stopped', {
      backend: this.settings.eureka.name,
    });
  }

  private unknownInstance(instanceId: string): DiscoveryError {
    return new DiscoveryError('BACKEND_REFUSED', `the server doesn't know ${describe(instanceId)} at present`, {
      backend: this.settings.eureka.name,
    });
  }
}
