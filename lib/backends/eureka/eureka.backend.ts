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
import { EurekaRegistryDriver } from './eureka.registry.js';

/** One app's Eureka. */
export class EurekaBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  private readonly session: EurekaSession;
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
    this.session = new EurekaSession(this, settings, context.application.zone);
    const discovery = new EurekaDiscoveryDriver(this, this.session, settings);
    this.discovery = discovery;
    this.registry = new EurekaRegistryDriver(this, this.session, settings, (app, id) => discovery.lookUp(app, id));
  }

  /** Doesn't wait for a server. */
  protected start(): Promise<void> {
    this.session.start();
    return Promise.resolve();
  }

  protected stop(): Promise<void> {
    return this.session.close();
  }
}
