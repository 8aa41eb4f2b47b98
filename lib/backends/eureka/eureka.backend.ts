import {
  BackendBase,
  type Backend,
  type BackendContext,
  type DiscoveryDriver,
  type RegistryDriver,
} from '../../backend/index.js';
import { EurekaSession } from './client/session.js';
import { EurekaDiscoveryDriver } from './eureka.discovery.js';
import type { EurekaSettings } from './eureka.options.js';
import { EurekaRegistryDriver, type Health } from './eureka.registry.js';

/** One app's Eureka. */
export class EurekaBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  private readonly session: EurekaSession;
  private readonly discoveryDriver: EurekaDiscoveryDriver;
  protected override readonly hooks = {
    probe: {
      // The cheapest question that only a Eureka server answers.
      ask: async (signal: AbortSignal) =>
        void (await this.session.api.getApplication(this.context.application.name, signal)),
      timeoutMs: () => this.session.operationTimeoutMs,
    },
  };

  constructor(settings: EurekaSettings, context: BackendContext) {
    super(settings.name, context);
    const { logger, clock, application } = context;
    const random = (): number => context.random();
    const report: BackendContext['report'] = (event) => context.report(event);
    const shared = { settings, clock, logger, random, report, assertOpen: () => this.assertOpen() };
    this.session = new EurekaSession({ ...shared, appZone: application.zone });
    this.discoveryDriver = new EurekaDiscoveryDriver({
      ...shared,
      createPoller: () => this.session.createPoller(),
      warn: (message) => logger.warn(message),
      onHealth: (key, health) => this.noteHealth(key, health),
    });
    this.discovery = this.discoveryDriver;
    this.registry = new EurekaRegistryDriver({
      ...shared,
      session: this.session,
      adopt: (close) => this.adopt(close),
      onHealth: (key, health) => this.noteHealth(key, health),
      lookUp: (app, instanceId) => this.discoveryDriver.lookUp(app, instanceId),
    });
  }

  /** Doesn't wait for a server. */
  protected start(): Promise<void> {
    this.session.start();
    return Promise.resolve();
  }

  protected async stop(): Promise<void> {
    await this.discoveryDriver.close();
    await this.session.close();
  }

  private noteHealth(key: object, health: Health): void {
    if (health === 'well') this.health.ok(key);
    else if (health === 'ended') this.health.gone(key);
    else this.health.failed(key, health);
  }
}
