import {
  BackendBase,
  PeriodicTask,
  type Backend,
  type BackendContext,
  type DiscoveryDriver,
  type RegistryDriver,
} from '../../backend/index.js';
import { DiscoveryError, toDiscoveryError } from '../../model/index.js';
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
  private readonly adopted = new Set<() => Promise<unknown>>();
  /** What fails at present: leases, and the reading of the registry, each with its last error. */
  private readonly failing = new Map<object, DiscoveryError>();
  /** Asks whether a server answers, while nothing else does. */
  private greeting: PeriodicTask | undefined;
  private readonly ending = new Set<Promise<void>>();
  private stopping = false;

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
    this.greet();
    return Promise.resolve();
  }

  protected async stop(): Promise<void> {
    this.stopping = true;
    this.endGreeting();
    await Promise.all([...this.adopted].map((close) => close()));
    await this.discoveryDriver.close();
    await Promise.all(this.ending);
    await this.session.close();
  }

  private greet(): void {
    if (this.greeting !== undefined) return;
    const { clock, application } = this.context;
    this.greeting = new PeriodicTask({
      clock,
      random: () => this.context.random(),
      what: `asking ${this.name}`,
      intervalMs: () => 30_000,
      retry: { initialMs: 1000, minMs: 500, maxMs: 30_000 },
      timeoutMs: () => this.session.operationTimeoutMs,
      run: async (signal) => {
        // The cheapest question that only a Eureka server answers.
        await this.session.api.getApplication(application.name, signal);
        if (!signal.aborted) this.noteHealth(this, 'well');
      },
      onError: (error) =>
        this.noteHealth(this, toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.name} doesn't answer`)),
    });
    this.greeting.start('now');
  }

  /** Doesn't wait: it may be called from within the very run. */
  private endGreeting(): void {
    const ended = this.greeting?.stop().finally(() => this.ending.delete(ended as Promise<void>));
    if (ended !== undefined) this.ending.add(ended);
    this.greeting = undefined;
  }

  private adopt(close: () => Promise<unknown>): () => void {
    this.adopted.add(close);
    return () => void this.adopted.delete(close);
  }

  private noteHealth(key: object, health: Health): void {
    if (health instanceof DiscoveryError) this.failing.set(key, health);
    else this.failing.delete(key);
    if (health === 'well') {
      this.failing.delete(this);
      this.endGreeting();
    }
    const [worst] = this.failing.values();
    if (worst !== undefined) this.setDegraded(worst);
    else if (health === 'well') this.setReady();
    // What failed is over, and nobody else knows: ask.
    else if (this.state.current.phase === 'degraded' && !this.stopping) this.greet();
  }
}
