import {
  BackendBase,
  PeriodicTask,
  type Backend,
  type BackendContext,
  type ConfigDriver,
  type DiscoveryDriver,
} from '../../backend/index.js';
import { DiscoveryError } from '../../model/index.js';
import { addressText } from './client/address.js';
import { ConsulClient } from './client/consul-client.js';
import { isConsulError } from './client/errors.js';
import { ConsulConfigDriver } from './consul.config.js';
import { ConsulDiscoveryDriver } from './consul.discovery.js';
import { ConsulLocks } from './consul.locks.js';
import type { ConsulSettings } from './consul.options.js';
import { ConsulRegistryDriver } from './consul.registry.js';
import type { ConsulParts } from './consul.shared.js';

/** How often the agent is asked whether it is there, while it is and while it isn't, in milliseconds. */
const PROBE_MS = { ready: 15_000, waiting: 1000 };

/** One app's Consul. */
export class ConsulBackend extends BackendBase implements Backend {
  readonly registry: ConsulRegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  /** The client that the backend works with; closed together with it. */
  readonly client: ConsulClient;
  /** Locks and leader elections; given up when the backend closes. */
  readonly locks: ConsulLocks;
  private readonly probe: PeriodicTask;
  /** What `close()` must end before the client. */
  private readonly adopted = new Set<() => Promise<unknown>>();
  /** What fails at present: leases, watches, the probe, each with its last error. */
  private readonly failing = new Map<object, DiscoveryError>();
  private readonly probeKey = {};
  /** The agent didn't answer when it was last asked. */
  private silent = false;

  constructor(settings: ConsulSettings, context: BackendContext) {
    super(settings.name, context);
    this.client = clientOf(settings, context);
    const parts: ConsulParts = {
      context,
      settings,
      client: this.client,
      assertOpen: () => this.assertOpen(),
      adopt: (close) => this.adopt(close),
      health: {
        succeeded: (key) => this.noteSuccess(key),
        failed: (key, error) => this.noteFailure(key, error),
        forget: (key) => this.forget(key),
      },
    };
    this.registry = new ConsulRegistryDriver(parts);
    this.discovery = new ConsulDiscoveryDriver(parts);
    this.config = new ConsulConfigDriver(parts);
    this.locks = new ConsulLocks(this.client, { random: () => context.random(), logger: context.logger });
    this.probe = new PeriodicTask({
      clock: context.clock,
      what: `the question whether ${settings.name} is there`,
      intervalMs: () => (this.state.current.phase === 'ready' ? PROBE_MS.ready : PROBE_MS.waiting),
      timeoutMs: () => settings.connection.timeoutMs,
      random: () => context.random(),
      run: (signal) => this.look(signal),
      onError: (error) => this.noteFailure(this.probeKey, error),
    });
  }

  protected start(): Promise<void> {
    this.probe.start('now');
    return Promise.resolve();
  }

  protected async stop(): Promise<void> {
    await this.probe.stop();
    await Promise.all([...this.adopted].map((close) => close()));
    await this.locks.close();
    await this.client.close();
  }

  private async look(signal: AbortSignal): Promise<void> {
    const leader = await this.client.status.leader({ signal });
    if (leader === '') {
      throw new DiscoveryError('BACKEND_UNAVAILABLE', `the servers of ${this.name} have no leader`, {
        backend: this.name,
      });
    }
    this.noteSuccess(this.probeKey);
  }

  private adopt(close: () => Promise<unknown>): () => void {
    this.adopted.add(close);
    return () => void this.adopted.delete(close);
  }

  private noteSuccess(key: object): void {
    this.failing.delete(key);
    // Whoever was answered has seen the agent. That there is no leader only the probe can take back: agents answer watches
    // without one, from what they know.
    if (isSilence(this.failing.get(this.probeKey))) this.failing.delete(this.probeKey);
    this.showState();
    if (!this.silent) return;
    this.silent = false;
    this.registry.confirmAll();
  }

  private noteFailure(key: object, error: unknown): void {
    const failure =
      error instanceof DiscoveryError
        ? error
        : new DiscoveryError('BACKEND_UNAVAILABLE', `${this.name} doesn't answer`, { cause: error });
    const news = !this.failing.has(key);
    this.failing.set(key, failure);
    this.showState();
    if (!isSilence(failure)) return;
    this.silent = true;
    // Questions that wait at a silent agent would notice only when their time is up.
    if (news) this.client.recheckWatches();
  }

  private forget(key: object): void {
    if (this.failing.delete(key)) this.showState();
  }

  private showState(): void {
    const [first] = this.failing.values();
    // What the probe found out is the reason of what else fails: without a leader reads fail in many ways.
    const reason = this.failing.get(this.probeKey) ?? first;
    if (reason === undefined) this.setReady();
    else this.setDegraded(reason);
  }
}

/** Whether nothing came back at all. */
function isSilence(error: DiscoveryError | undefined): boolean {
  return isConsulError(error, 'unavailable') || error?.code === 'TIMEOUT';
}

function clientOf(settings: ConsulSettings, context: BackendContext): ConsulClient {
  const { address, token, tokenFile, datacenter, namespace, partition, ...rest } = settings.connection;
  return new ConsulClient({
    ...rest,
    address: addressText(address),
    ...(token === undefined ? {} : { token }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(datacenter === undefined ? {} : { datacenter }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(partition === undefined ? {} : { partition }),
    waitMs: settings.watch.waitMs,
    clock: context.clock,
    logger: context.logger,
    logLevel: 'log',
  });
}
