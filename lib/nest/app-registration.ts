import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { HttpAdapterHost } from '@nestjs/core';
import { until, type Lease, type LeaseState } from '../backend/index.js';
import { DiscoveryError, messageOf } from '../model/index.js';
import { chooseAddress, RequestsInFlight, ShutdownSequence } from '../registration/index.js';
import { methodOf, type AppInstances } from './app-instances.js';
import { registrationFailed, type DiscoveryRuntime } from './discovery-runtime.js';
import type { LifecycleHook, RegistrationDraft } from './lifecycle-hooks.interface.js';

/** This app's own registration: when it begins, what it says, and how it ends. Injectable. */
export class AppRegistration {
  private readonly requests = new RequestsInFlight(() => this.warnOfRefusals());
  private readonly shutdownSequence: ShutdownSequence;
  private server: Server | undefined;
  private registering: Promise<Lease> | undefined;
  private notReady = false;
  private warned = false;
  private listening: { unsubscribe(): void } | undefined;

  /** @internal Made by the module. */
  constructor(
    private readonly runtime: DiscoveryRuntime,
    private readonly instances: AppInstances,
    private readonly host: HttpAdapterHost,
  ) {
    const { clock, shutdown } = runtime.options;
    this.shutdownSequence = new ShutdownSequence(
      {
        clock,
        logger: runtime.logger,
        registry: runtime.registry,
        requests: this.requests,
        setNotReady: () => {
          this.notReady = true;
        },
        beforeDeregister: () => this.callHooks('beforeServiceDeregister'),
        afterDeregister: () => this.callHooks('onServiceDeregistered'),
      },
      shutdown,
    );
  }

  /** True from the moment that the app is registered until it begins to shut down; for readiness probes. */
  get isReady(): boolean {
    return !this.notReady && this.lease?.state.current.phase === 'registered';
  }

  /** The app's lease, once it began to register. */
  lease: Lease | undefined;

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

  /** Waits for the server to listen, or does what the app does without one. Called when the app is complete. */
  async start(): Promise<void> {
    const { service, registration, registrationTimeoutMs } = this.runtime.options;
    const server = this.httpServer();
    if (server !== undefined) {
      this.server = server;
      this.requests.watch(server);
    }
    if (service === undefined || registration === 'manual') return;
    if (registration === 'fail-fast') await this.runtime.registriesReady(registrationTimeoutMs);
    if (server !== undefined) this.listening = this.host.listen$.subscribe(() => void this.registerInBackground());
    else if (service.port !== undefined) await this.registerInBackground();
    else {
      this.runtime.logger.warn(
        `${service.name} has no HTTP server, so it isn't registered: give service.port, or call AppRegistration.register()`,
      );
    }
  }

  /** Takes the app out of service; whoever asks first, it happens once. Never rejects. */
  shutDown(): Promise<void> {
    this.listening?.unsubscribe();
    return this.shutdownSequence.run();
  }

  private async registerInBackground(): Promise<void> {
    const { registration, registrationTimeoutMs, service } = this.runtime.options;
    try {
      const lease = await this.register();
      if (registration !== 'fail-fast') return;
      await this.registeredWithin(registrationTimeoutMs, lease);
    } catch (error) {
      if (this.shutdownSequence.started) return;
      this.runtime.logger.error(`${service?.name ?? 'the app'} is not registered: ${messageOf(error)}`);
      // Told to fail fast, the process must not go on as if it were reachable; nobody awaits a listening server's events.
      if (registration === 'fail-fast')
        queueMicrotask(() => {
          throw error;
        });
    }
  }

  private async registerOnce(): Promise<Lease> {
    const draft = this.draft();
    await this.callHooks('beforeServiceRegister', draft);
    const lease = this.runtime.registry.register(draft);
    this.lease = lease;
    void lease.registered.then(
      () => this.callHooks('onServiceRegistered', lease).catch((error: unknown) => this.hookFailed(error)),
      () => {},
    );
    return lease;
  }

  private async registeredWithin(timeoutMs: number, { state, registered }: Lease): Promise<void> {
    const { clock } = this.runtime.options;
    const settled = ({ phase }: LeaseState): boolean => phase === 'registered' || phase === 'revoked';
    if (await until(state, settled, { clock, timeoutMs })) return registered;
    const { error } = state.current;
    const reason = error?.message ?? `no answer within ${timeoutMs} ms`;
    throw registrationFailed(error?.backend ?? 'its registry', reason, error);
  }

  private draft(): RegistrationDraft {
    const { service, zone } = this.runtime.options;
    if (service === undefined) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        'this app has no `service` in its options, so there is nothing to register',
        {
          field: 'service',
        },
      );
    }
    const bound = this.boundAddress();
    const port = service.port ?? bound?.port;
    if (port === undefined) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        `service.port is missing: ${service.name} doesn't listen on a TCP port`,
        {
          field: 'service.port',
        },
      );
    }
    const { host, ip, loopback } = chooseAddress(service, bound?.address);
    if (loopback) this.runtime.logger.warn(`${service.name} registers ${host}, which only this machine can call`);
    return {
      service: service.name,
      host,
      ip,
      port,
      scheme: service.scheme ?? (this.server instanceof TlsServer ? 'https' : 'http'),
      ...(service.instanceId === undefined ? {} : { instanceId: service.instanceId }),
      ...(service.metadata === undefined ? {} : { metadata: { ...service.metadata } }),
      ...(service.tags === undefined ? {} : { tags: service.tags }),
      ...(service.weight === undefined ? {} : { weight: service.weight }),
      ...(service.healthPath === undefined ? {} : { healthPath: service.healthPath }),
      ...(zone === undefined ? {} : { zone }),
    };
  }

  private httpServer(): Server | undefined {
    // Absent in a standalone app and in one that is a microservice only, whatever the types say.
    const adapter = this.host.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
    const server = adapter?.getHttpServer() as Server | undefined | null;
    return typeof server?.address === 'function' ? server : undefined;
  }

  private boundAddress(): { readonly address: string; readonly port: number } | undefined {
    const address = this.server?.address();
    return typeof address === 'object' && address !== null ? address : undefined;
  }

  private async callHooks(hook: LifecycleHook, argument?: unknown): Promise<void> {
    for (const { instance } of this.instances.all()) {
      // Who has no such hook costs no turn of its own: the lease is there as soon as the server listens.
      const method = methodOf(instance, hook);
      if (method !== undefined) await method(argument);
    }
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
