import {
  BackendBase,
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

/** How often an agent that answers is asked whether its servers have a leader, in milliseconds. */
const LEADER_MS = 15_000;

/** One app's Consul. */
export class ConsulBackend extends BackendBase implements Backend {
  readonly registry: ConsulRegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  /** The client that the backend works with; closed together with it. */
  readonly client: ConsulClient;
  /** Locks and leader elections; given up when the backend closes. */
  readonly locks: ConsulLocks;
  protected override readonly hooks = {
    probe: {
      // That there is no leader only this finds out: agents answer watches without one, from what they know.
      ask: (signal: AbortSignal) => this.assertLeader(signal),
      timeoutMs: () => this.settings.connection.requestTimeoutMs,
      everyMs: LEADER_MS,
    },
    // To say that there is no leader is an answer.
    isSilence: (error: DiscoveryError) => isConsulError(error, 'unavailable') || error.code === 'TIMEOUT',
    // The agent was away, and may have come back without what was registered.
    onBack: () => this.registry.confirmAll(),
  };

  constructor(
    private readonly settings: ConsulSettings,
    context: BackendContext,
  ) {
    super(settings.name, context);
    this.client = clientOf(settings, context);
    this.registry = new ConsulRegistryDriver(this, this.client, settings);
    this.discovery = new ConsulDiscoveryDriver(this, this.client, settings);
    this.config = new ConsulConfigDriver(this, this.client, settings);
    this.locks = new ConsulLocks(this.client, { random: () => context.random(), logger: context.logger });
  }

  protected start(): Promise<void> {
    return Promise.resolve();
  }

  protected async stop(): Promise<void> {
    await this.locks.close();
    await this.client.close();
  }

  private async assertLeader(signal: AbortSignal): Promise<void> {
    if ((await this.client.status.leader({ signal })) !== '') return;
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `the servers of ${this.name} have no leader`, {
      backend: this.name,
    });
  }
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
