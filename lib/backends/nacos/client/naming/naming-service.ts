import { DiscoveryError } from '../../../../model/index.js';
import { checkOptions, flag, listOf, PeriodicTask, text, TroubleLog } from '../../../../backend/index.js';
import { openParts, type ClientParts } from '../client-parts.js';
import type { Environment } from '../environment.js';
import type { Json } from '../json.js';
import { NamingCache } from './cache.js';
import { NamingListeners, type NacosServiceListener } from './listeners.js';
import {
  checkServiceName,
  inClusters,
  LIST_CHECKS,
  pickByWeight,
  SERVICE_CHECKS,
  toNacosInstance,
  type NacosInstance,
  type NacosInstanceInput,
  type NacosServiceInfo,
  type NacosServiceName,
} from './model.js';
import { NamingRequests } from './requests.js';
import type { NacosClientOptions, NacosClientSettings } from '../options.js';
import { Publications } from './publications.js';
import type { RpcClient } from '../grpc/rpc-client.js';
import { Subscriptions, type ServiceObserver, type ServiceSubscription } from './subscriptions.js';

const REDOING = 'repeating the registrations';

/** An instance of a service. */
export type NacosRegisterParam = NacosServiceName & NacosInstanceInput;

/** Which instances to list. */
export interface NacosListInstancesParam extends NacosServiceName {
  /** Only instances of these clusters. @default all */
  readonly clusters?: readonly string[];
  /**
   * `true`: those that are healthy; `false`: those that aren't; left out or null: all. With `true` and `false` only those that
   * are enabled and have a weight.
   */
  readonly healthyOnly?: boolean | null;
  /** Follow the service from now on, so that the next call is answered from memory. @default true */
  readonly subscribe?: boolean;
}

/** A page of service names. */
export interface NacosListServicesParam {
  /** @default 'DEFAULT_GROUP' */
  readonly groupName?: string;
  /** Counted from 1. @default 1 */
  readonly pageNo?: number;
  /** @default 10 */
  readonly pageSize?: number;
}

/** What {@link NacosNamingService.subscribe} follows. */
export interface NacosSubscribeParam extends NacosServiceName {
  /** Only instances of these clusters. @default all */
  readonly clusters?: readonly string[];
  readonly listener: NacosServiceListener;
}

/**
 * Nacos's registry over gRPC. Registrations and subscriptions outlive the connection: after a reconnection they are made
 * again.
 *
 * ```ts
 * const naming = await NacosNamingService.create({ serverAddresses: 'localhost:8848' });
 * await naming.registerInstance({ serviceName: 'orders', ip: '10.0.0.5', port: 8080 });
 * await naming.subscribe({ serviceName: 'stock', listener: (instances, change) => { … } });
 * ```
 */
export class NacosNamingService {
  /** @internal */
  readonly publications: Publications;
  /** @internal */
  readonly subscriptions: Subscriptions;
  private readonly requests: NamingRequests;
  private readonly listeners: NamingListeners;
  private readonly redoing: PeriodicTask;
  /** Services that {@link listInstances} follows. */
  private readonly followed = new Map<string, ServiceSubscription>();
  private readonly env: Environment;
  private readonly rpc: RpcClient;
  private readonly settings: NacosClientSettings;
  private closing: Promise<void> | undefined;

  /**
   * Makes a client of its own and begins to connect. It doesn't wait longer than a request for a server: without one it
   * goes on trying in the background.
   *
   * @throws DiscoveryError `INVALID_OPTION`, `MISSING_PEER`
   */
  static async create(options: NacosClientOptions): Promise<NacosNamingService> {
    const parts = openParts(options);
    const service = new NacosNamingService(parts, () => parts.close());
    await parts.rpc.start();
    service.start();
    await parts.rpc.untilConnected(parts.settings.requestTimeoutMs);
    return service;
  }

  /**
   * @internal Made by {@link NacosClient}.
   * @param release ends what only this service uses
   */
  constructor(
    private readonly parts: ClientParts,
    private readonly release: () => Promise<void> = async () => {},
  ) {
    const { rpc, env, settings } = parts;
    this.env = env;
    this.rpc = rpc;
    this.settings = settings;
    this.requests = new NamingRequests(rpc, env, settings);
    this.publications = new Publications({
      epoch: () => rpc.epoch,
      send: (service, group, step) => this.requests.publish(service, group, step),
    });
    const cache = settings.loadCacheAtStart ? new NamingCache(settings, env) : undefined;
    this.subscriptions = new Subscriptions({
      env,
      port: {
        epoch: () => rpc.epoch,
        connected: () => rpc.connected,
        subscribe: (service, group) => this.requests.subscribe(service, group),
        unsubscribe: (service, group) => this.requests.unsubscribe(service, group),
      },
      refreshMs: settings.serviceRefreshMs,
      settleMs: parts.settleMs,
      emptyPushProtection: settings.emptyPushProtection,
      ...(cache === undefined
        ? {}
        : { remembered: (service, group) => cache.read(service, group), keep: (info) => cache.keep(info) }),
    });
    this.listeners = new NamingListeners(env, this.subscriptions);
    const troubles = new TroubleLog(env.logger, env.clock, env.backend);
    this.redoing = new PeriodicTask({
      clock: env.clock,
      what: `repeating the registrations at ${env.backend}`,
      intervalMs: () => 3000,
      timeoutMs: () => 60_000,
      random: () => env.random(),
      run: async () => {
        if (!rpc.connected) return;
        await this.publications.redo();
        troubles.works(REDOING);
      },
      onError: (error) => troubles.failed(REDOING, error),
    });
    rpc.onPush('NotifySubscriberRequest', (body) => this.notified(body));
    rpc.onConnected(() => {
      this.subscriptions.connected();
      return this.redoing.trigger().catch(() => {});
    });
    rpc.onDisconnected((error) => this.subscriptions.disconnected(error));
  }

  /** @internal Called once the connection is being made. */
  start(): void {
    this.redoing.start('after-interval');
    this.subscriptions.start();
  }

  /**
   * Registers an instance; registering the same address again replaces it. Several instances of one service stand side
   * by side. An ephemeral one comes back after every reconnection until it is deregistered, also when this call failed
   * because no server could be reached.
   *
   * @throws DiscoveryError `INVALID_INSTANCE`, `INVALID_NAME`, `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`
   */
  async registerInstance(param: NacosRegisterParam, signal?: AbortSignal): Promise<void> {
    const { service, group } = checkServiceName(param);
    const instance = toNacosInstance(param);
    if (instance.ephemeral) await this.publications.set(service, group, instance, signal);
    else await this.persistent('register', service, group, instance, signal);
  }

  /**
   * Registers several instances of one service in one request, in place of all that this client had registered for it.
   *
   * @throws DiscoveryError as {@link registerInstance}; `INVALID_INSTANCE` for instances that are not ephemeral
   */
  async batchRegisterInstances(
    param: NacosServiceName & { readonly instances: readonly NacosInstanceInput[] },
    signal?: AbortSignal,
  ): Promise<void> {
    const { service, group } = checkServiceName(param);
    const instances = param.instances.map(toNacosInstance);
    const persistent = instances.some((instance) => !instance.ephemeral);
    if (instances.length === 0 || persistent) {
      throw new DiscoveryError(
        'INVALID_INSTANCE',
        `a batch must have instances, all of them ephemeral; register others one by one`,
        { field: 'instances', service },
      );
    }
    await this.publications.replace(service, group, instances, signal);
  }

  /** Takes some instances of one service back in one request. */
  async batchDeregisterInstances(
    param: NacosServiceName & { readonly instances: readonly NacosInstanceInput[] },
    signal?: AbortSignal,
  ): Promise<void> {
    const { service, group } = checkServiceName(param);
    await this.publications.remove(service, group, param.instances.map(toNacosInstance), signal);
  }

  /**
   * Takes an instance back; from this moment it is not registered again, also when this call fails.
   *
   * @throws DiscoveryError as {@link registerInstance}
   */
  async deregisterInstance(param: NacosRegisterParam, signal?: AbortSignal): Promise<void> {
    const { service, group } = checkServiceName(param);
    const instance = toNacosInstance(param);
    if (instance.ephemeral) await this.publications.remove(service, group, [instance], signal);
    else await this.persistent('deregister', service, group, instance, signal);
  }

  /** Changes an instance; the new values replace the old ones. The same as {@link registerInstance}. */
  updateInstance(param: NacosRegisterParam, signal?: AbortSignal): Promise<void> {
    return this.registerInstance(param, signal);
  }

  /**
   * A service with all its instances, asked from the server.
   *
   * @throws DiscoveryError `INVALID_NAME`, `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`
   */
  async getService(
    param: NacosServiceName & { readonly clusters?: readonly string[] },
    signal?: AbortSignal,
  ): Promise<NacosServiceInfo> {
    checkOptions('getService()', param, { ...SERVICE_CHECKS, clusters: listOf(text) });
    const { service, group } = checkServiceName(param);
    const info = await this.requests.query(service, group, signal);
    return Object.freeze({ ...info, hosts: inClusters(info.hosts, param.clusters) });
  }

  /** The names of the services of a group, one page of them, and how many there are. */
  async listServices(
    param: NacosListServicesParam = {},
    signal?: AbortSignal,
  ): Promise<{ readonly count: number; readonly services: readonly string[] }> {
    const { groupName = 'DEFAULT_GROUP', pageNo = 1, pageSize = 10 } = param;
    return this.requests.list(groupName, pageNo, pageSize, signal);
  }

  /**
   * The instances of a service. Unless told otherwise the service is followed from the first call on, so that further
   * calls are answered from memory, also while the server is away.
   *
   * @throws DiscoveryError `INVALID_NAME`, `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`
   */
  async listInstances(param: NacosListInstancesParam, signal?: AbortSignal): Promise<readonly NacosInstance[]> {
    checkOptions('listInstances()', param, { ...LIST_CHECKS, clusters: listOf(text), subscribe: flag });
    const { service, group } = checkServiceName(param);
    const info =
      param.subscribe === false ? await this.requests.query(service, group, signal) : await this.follow(service, group);
    const hosts = inClusters(info.hosts, param.clusters);
    if (typeof param.healthyOnly !== 'boolean') return hosts;
    return hosts.filter((host) => host.healthy === param.healthyOnly && host.enabled && host.weight > 0);
  }

  /**
   * One healthy instance, by weight; undefined when there is none.
   *
   * @throws DiscoveryError as {@link listInstances}
   */
  async selectOneHealthyInstance(
    param: Omit<NacosListInstancesParam, 'healthyOnly'>,
    signal?: AbortSignal,
  ): Promise<NacosInstance | undefined> {
    return pickByWeight(await this.listInstances(param, signal), this.env.random());
  }

  /**
   * Calls the listener with the instances of a service and what changed: first as soon as there are any, then after every
   * change. A listener that throws is reported and hurts nobody. Resolves when the server has answered.
   *
   * @throws DiscoveryError `INVALID_NAME`; `BACKEND_UNAVAILABLE` when no server answered yet: it stays subscribed
   */
  async subscribe(param: NacosSubscribeParam): Promise<void> {
    this.assertOpen();
    const { service, group } = checkServiceName(param);
    await this.listeners.add(service, group, param.clusters ?? [], param.listener);
  }

  /** Ends what {@link subscribe} began with the same parameters; the listener isn't called any more. */
  unsubscribe(param: NacosSubscribeParam): Promise<void> {
    const { service, group } = checkServiceName(param);
    this.listeners.remove(service, group, param.clusters ?? [], param.listener);
    return Promise.resolve();
  }

  /** Whether a server is connected at this moment. */
  serverHealth(): boolean {
    return this.rpc.connected;
  }

  /** Ends everything; what is registered and ephemeral is gone with the connection, when that isn't shared. */
  close(): Promise<void> {
    this.closing ??= (async () => {
      this.listeners.close();
      for (const subscription of this.followed.values()) subscription.close();
      await Promise.all([this.redoing.stop(), this.subscriptions.close()]);
      await this.release();
    })();
    return this.closing;
  }

  /** @internal Follows a service without the isolation that {@link subscribe} gives listeners. */
  observe(service: string, group: string, observer: ServiceObserver): ServiceSubscription {
    return this.subscriptions.subscribe(service, group, observer);
  }

  private async follow(service: string, group: string): Promise<NacosServiceInfo> {
    this.assertOpen();
    const key = `${group}@@${service}`;
    let subscription = this.followed.get(key);
    if (subscription === undefined) {
      subscription = this.subscriptions.subscribe(service, group, { changed: () => {}, failed: () => {} });
      this.followed.set(key, subscription);
    }
    const known = this.subscriptions.known(service, group);
    if (known !== undefined) return known;
    await subscription.refresh();
    return this.subscriptions.known(service, group) ?? this.requests.query(service, group);
  }

  private notified(body: Json): { readonly type: string } {
    const info = this.requests.parse(body['serviceInfo']);
    if (info === undefined) throw new DiscoveryError('INVALID_INSTANCE', 'a push of a service held no list');
    this.subscriptions.pushed(info);
    return { type: 'NotifySubscriberResponse' };
  }

  private async persistent(
    operation: 'register' | 'deregister',
    service: string,
    group: string,
    instance: NacosInstance,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.assertOpen();
    await this.rpc.untilConnected(this.settings.requestTimeoutMs, signal);
    if (this.rpc.connected && !this.requests.takesPersistent) {
      return this.parts.persistentFallback(operation, service, group, instance, signal);
    }
    await this.requests.changePersistent(operation, service, group, instance, signal);
  }

  private assertOpen(): void {
    if (this.closing !== undefined) {
      throw new DiscoveryError('BACKEND_CLOSED', `the naming service of ${this.env.backend} was closed`, {
        backend: this.env.backend,
      });
    }
  }
}
