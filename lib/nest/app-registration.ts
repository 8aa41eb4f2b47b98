import { errorMonitor, type EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { until, type Lease, type LeaseState } from '../backend/index.js';
import { DiscoveryError, messageOf, type InstanceStatus } from '../model/index.js';
import { RequiredServices, ServerConnections, ShutdownSequence, WorkInFlight } from '../registration/index.js';
import { AppReadiness, type Readiness } from './app-readiness.js';
import { registrationFailed, type DiscoveryRuntime } from './discovery-runtime.js';
import type { HookCaller } from './hook-caller.js';
import { MessageServers } from './message-servers.js';
import { ProbeServer } from './probe-server.js';
import type { RegistrationDraft } from './lifecycle-hooks.interface.js';
import { basePathOf, draftRegistration, portsOf, type Listening } from './registration-draft.js';
import { isReadByOthers, registersElsewhere } from './startup-advice.js';

/** Within this time after a server failed to listen, it may be told to listen elsewhere. */
const LISTEN_AGAIN_MS = 2000;

/** This app's own registration: when it begins, what it says, and how it ends. Injectable. */
export class AppRegistration {
  private readonly work = new WorkInFlight();
  private readonly connections = new ServerConnections(this.work, () => this.warnOfRefusals());
  private readonly messages: MessageServers;
  private readonly required: RequiredServices;
  private readonly readinessOf = new AppReadiness(() => this.whyNotReady());
  private readonly shutdownSequence: ShutdownSequence;
  private server: Server | undefined;
  private registering: Promise<Lease> | undefined;
  private paused: string | undefined;
  private warned = false;
  private probes: ProbeServer | undefined;
  private readonly stopTellingReadiness: () => void;
  private readonly releases: (() => void)[] = [];

  /** @internal Made by the module. */
  constructor(
    private readonly runtime: DiscoveryRuntime,
    private readonly hooks: HookCaller,
    private readonly host: HttpAdapterHost,
    modules: ModulesContainer,
    private readonly appConfig: ApplicationConfig,
  ) {
    const { clock, shutdown, requires } = runtime.options;
    this.messages = new MessageServers(modules, this.work, (headers, handle) =>
      runtime.forwardsHeaders ? runtime.incoming.within(headers(), handle) : handle(),
    );
    this.required = new RequiredServices(requires);
    this.shutdownSequence = new ShutdownSequence(
      {
        clock,
        logger: runtime.logger,
        registry: runtime.registry,
        work: this.work,
        connections: this.connections,
        setNotReady: () => this.readinessOf.stopping(),
        beforeDeregister: (timeoutMs) => hooks.together('beforeServiceDeregister', timeoutMs),
        afterDeregister: (timeoutMs) => hooks.together('onServiceDeregistered', timeoutMs),
        goAway: () => runtime.lasting.goAway(),
      },
      shutdown,
    );
    this.stopTellingReadiness = this.readinessOf.view.subscribe((readiness) =>
      runtime.events.report({ type: 'readiness.changed', ...readiness }),
    );
  }

  /**
   * True while the app may take traffic: it has started and isn't stopping, its health is good, nobody has paused it, and
   * the services that it requires are there. A registry that is down doesn't change it, unless
   * `readiness.registered` asks for that. For readiness probes.
   */
  get isReady(): boolean {
    return this.readinessOf.current.ready;
  }

  /** {@link isReady}, and why not. */
  get readiness(): Readiness {
    return this.readinessOf.current;
  }

  /** True until the app is closed; depends on nothing outside. For liveness probes. */
  get isLive(): boolean {
    return !this.runtime.isClosed;
  }

  /** The app's lease, once it began to register. */
  lease: Lease | undefined;

  /** @internal Whether the app is to be found by others. */
  get registers(): boolean {
    return this.runtime.options.service !== undefined;
  }

  /** The port on which probes are answered (`probes`), once the app is complete. */
  get probePort(): number | undefined {
    return this.probes?.port;
  }

  /** @internal Set by `enableGracefulShutdown`. */
  isShutdownWired = false;

  /**
   * Registers the app now, with the port that it listens on; joins a registration that has begun. Resolves with the lease
   * as soon as the hooks have run: `await lease.registered` to know that every registry has it.
   *
   * @throws DiscoveryError `INVALID_OPTION` when there is no service or no port to register
   */
  register(): Promise<Lease> {
    this.registering ??= this.registerOnce();
    return this.registering;
  }

  /**
   * Takes the app out of traffic without taking it down: every registry has it as `OUT_OF_SERVICE`, whatever its health
   * says and through every new registration, until {@link resume}. Resolves when the registries have it so.
   *
   * @param reason for the log, and for whoever asks why it isn't ready
   * @throws DiscoveryError `UNSUPPORTED` when a registry can't say it
   */
  async pause(reason: string): Promise<void> {
    this.paused = reason;
    this.readinessOf.check();
    await this.tellStatus();
  }

  /** Ends a {@link pause}: the app's health counts again. */
  async resume(): Promise<void> {
    this.paused = undefined;
    this.readinessOf.check();
    await this.tellStatus();
  }

  /** Why it is paused, as it was told to {@link pause}; undefined when it isn't. */
  get pausedFor(): string | undefined {
    return this.paused;
  }

  /** @internal Waits for the server to listen, or does what the app does without one. Called when the app is complete. */
  async start(): Promise<void> {
    const { runtime } = this;
    const { service, registration, registrationTimeoutMs } = runtime.options;
    this.server = this.httpServer();
    if (this.server !== undefined) {
      this.connections.watch(this.server);
      (this.server as EventEmitter).on(errorMonitor, this.serverFailed);
    }
    await this.openProbes();
    this.required.start(runtime.views, this.readinessOf.check);
    await runtime.health.start();
    this.releases.push(
      runtime.health.state.subscribe(() => {
        this.readinessOf.check();
        this.tellStatusSoon();
      }),
    );
    const waitsForListening = this.server !== undefined || this.messages.expected;
    if (waitsForListening) this.whenListening(() => this.readinessOf.started());
    else this.readinessOf.started();
    if (service === undefined || registration === 'manual') return;
    if (registration === 'fail-fast') await runtime.registriesReady(registrationTimeoutMs);
    if (waitsForListening) this.whenListening(() => void this.registerInBackground());
    else if (service.port !== undefined) await this.registerInBackground();
    else {
      runtime.logger.warn(
        `${service.name} has no server that listens, so it isn't registered: give service.port, or call AppRegistration.register()`,
      );
    }
  }

  /** @internal Takes the app out of service; whoever asks first, it happens once. Never rejects. */
  async shutDown(): Promise<void> {
    for (const release of this.releases.splice(0)) release();
    await this.shutdownSequence.run();
    this.runtime.lasting.closeAll();
    this.messages.close();
    this.required.close();
    this.stopTellingReadiness();
    // What a registration that was under way has added since.
    for (const release of this.releases.splice(0)) release();
    this.connections.release();
    (this.server as EventEmitter | undefined)?.removeListener(errorMonitor, this.serverFailed);
  }

  /** @internal The order in which the app stops. */
  get shutdown(): ShutdownSequence {
    return this.shutdownSequence;
  }

  private async openProbes(): Promise<void> {
    const { probes } = this.runtime.options;
    if (probes === undefined) return;
    const server = new ProbeServer(probes, {
      isLive: () => this.isLive,
      notReady: () => this.readinessOf.current.reasons,
    });
    await server.listen();
    this.probes = server;
    this.runtime.closeLast(() => server.close());
  }

  private whenListening(then: () => void): void {
    let told = false;
    const once = (): void => {
      if (told) return;
      told = true;
      then();
    };
    if (this.server !== undefined) {
      const listening = this.host.listen$.subscribe(once);
      this.releases.push(() => listening.unsubscribe());
      return;
    }
    if (this.messages.listening.current.length > 0) once();
    else this.releases.push(this.messages.listening.subscribe(once));
  }

  /**
   * A port that can't be had ends most apps, but not their process, as long as the backends are open. Whoever tries another
   * port does so at once.
   */
  private readonly serverFailed = (error: unknown): void => {
    const { runtime, server } = this;
    if (server?.listening !== false || this.registering !== undefined) return;
    const giveUp = (): void => {
      if (server.listening || this.shutdownSequence.started || runtime.isClosed) return;
      runtime.logger.error(`the server doesn't listen (${messageOf(error)}), so everything of discovery is closed`);
      void runtime.close();
    };
    runtime.options.clock.setTimer(giveUp, LISTEN_AGAIN_MS, { background: true });
  };

  private async registerInBackground(): Promise<void> {
    const { registration, registrationTimeoutMs, service } = this.runtime.options;
    try {
      const lease = await this.register();
      if (registration !== 'fail-fast') return;
      await this.registeredWithin(registrationTimeoutMs, lease);
    } catch (error) {
      if (this.shutdownSequence.started) return;
      this.runtime.logger.error(`${service?.name ?? 'the app'} is not registered: ${messageOf(error)}`);
      if (registration !== 'fail-fast') return;
      // Told to fail fast, the process must not go on as if it were reachable; nobody awaits a listening server's events.
      await this.runtime.close();
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  private async registerOnce(): Promise<Lease> {
    const { options, registry } = this.runtime;
    const { draft, isLoopback } = draftRegistration(options.service, options.zone, this.listening(), this.status);
    if (isLoopback) this.assertReachable(draft);
    await this.hooks.inOrder('beforeServiceRegister', draft);
    const told = this.messages.listening.current;
    const lease = registry.register(draft);
    this.lease = lease;
    // A server that listens later than the one with which the app registered.
    const tellPorts = (): void => {
      const metadata = { ...lease.registration.metadata };
      for (const [name, port] of Object.entries(portsOf(this.messages.listening.current)))
        metadata[name] ??= String(port);
      lease.update({ metadata }).catch(() => {});
    };
    this.releases.push(this.messages.listening.subscribe(tellPorts));
    if (this.messages.listening.current !== told) tellPorts();
    // The health or the operator may have changed it while the hooks ran.
    if (draft.status !== this.status && draft.status !== 'OUT_OF_SERVICE') this.tellStatusSoon();
    this.releases.push(lease.state.subscribe(this.readinessOf.check));
    void lease.registered.then(
      () => this.hooks.inOrder('onServiceRegistered', lease).catch((error: unknown) => this.hookFailed(error)),
      () => {},
    );
    return lease;
  }

  /** @throws DiscoveryError `INVALID_OPTION` in production: callers on other machines would call themselves */
  private assertReachable({ service, host }: RegistrationDraft): void {
    const { options, logger } = this.runtime;
    if (!isReadByOthers(options.uses)) return;
    const problem = `${service} registers ${host}, which only this machine can call`;
    const advice = `listen on 0.0.0.0, or give service.host`;
    if (!options.isProduction || !registersElsewhere(options.uses)) logger.warn(`${problem}: ${advice}`);
    else throw new DiscoveryError('INVALID_OPTION', `${problem}: ${advice}`, { field: 'service.host', service });
  }

  private async registeredWithin(timeoutMs: number, { state, registered }: Lease): Promise<void> {
    const { clock } = this.runtime.options;
    const settled = ({ phase }: LeaseState): boolean => phase === 'registered' || phase === 'revoked';
    if (await until(state, settled, { clock, timeoutMs })) return registered;
    const { error } = state.current;
    const reason = error?.message ?? `no answer within ${timeoutMs} ms`;
    throw registrationFailed(error?.backend ?? 'its registry', reason, error);
  }

  /** What the registries are to have: the operator's word, else the app's health. */
  private get status(): InstanceStatus {
    if (this.paused !== undefined) return 'OUT_OF_SERVICE';
    const { options, health } = this.runtime;
    const { healthy } = health.state.current;
    const initial = options.service?.health?.initialStatus ?? 'UP';
    if (healthy === undefined) return health.hasChecks ? initial : 'UP';
    if (healthy) return 'UP';
    // Until it was well once, it is starting; after that, it is down.
    return initial === 'STARTING' && !health.wasHealthy ? 'STARTING' : 'DOWN';
  }

  private async tellStatus(): Promise<void> {
    await this.lease?.setStatus(this.status);
  }

  private tellStatusSoon(): void {
    if (this.shutdownSequence.started) return;
    this.tellStatus().catch((error: unknown) => {
      this.runtime.logger.warn(`the app's status ${this.status} can't be told: ${messageOf(error)}`);
    });
  }

  private whyNotReady(): readonly string[] {
    const { health, options } = this.runtime;
    const reasons = this.required.missing().slice();
    if (this.paused !== undefined) reasons.unshift(`it is paused: ${this.paused}`);
    const { healthy, failing } = health.state.current;
    if (health.hasChecks && healthy !== true) {
      const why = failing.map(({ check, reason }) => `${check}: ${reason}`);
      reasons.push(...(why.length === 0 ? ['its health is not known yet'] : why));
    }
    if (options.readiness.registered && this.lease?.state.current.phase !== 'registered') {
      reasons.push('it is not registered');
    }
    return reasons;
  }

  private listening(): Listening {
    const address = this.server?.address();
    const bound = typeof address === 'object' && address !== null ? address : undefined;
    return {
      http: bound && { address: bound.address, port: bound.port, tls: this.server instanceof TlsServer },
      messages: this.messages.listening.current,
      basePath: bound === undefined ? {} : this.basePath(),
    };
  }

  private basePath(): Readonly<Record<string, string>> {
    const { service, callOptionsFor } = this.runtime.options;
    return basePathOf(callOptionsFor(service?.name ?? '').basePathMetadata, this.appConfig.getGlobalPrefix());
  }

  private httpServer(): Server | undefined {
    // Absent in a standalone app and in one that is a microservice only, whatever the types say.
    const adapter = this.host.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
    const server = adapter?.getHttpServer() as Server | undefined | null;
    return typeof server?.address === 'function' ? server : undefined;
  }

  private hookFailed(error: unknown): void {
    this.runtime.events.report({ type: 'listener.failed', where: 'onServiceRegistered', error });
  }

  private warnOfRefusals(): void {
    if (this.warned) return;
    this.warned = true;
    this.runtime.logger.warn(
      'the server answers 503 while it is being taken out of the registry (return503OnClosing): use enableGracefulShutdown(app) instead of enableShutdownHooks()',
    );
  }
}
