import { checkOptions, text, TroubleLog } from '../../../../backend/index.js';
import { defined, DiscoveryError, messageOf } from '../../../../model/index.js';
import { encrypted } from '../config/cipher.js';
import { classicFiles, type ConfigFiles } from '../config/files.js';
import { ConfigListeners, Slots } from '../config/listeners.js';
import {
  assertContent,
  checkConfigKey,
  type ConfigAddress,
  type NacosConfigListener,
  type NacosPublishParam,
} from '../config/model.js';
import { ConfigReading, type NacosReadOptions } from '../config/reading.js';
import { standaloneEnvironment, type Environment } from '../environment.js';
import { HttpBeats } from './beats.js';
import { HttpCore } from './core.js';
import type { NacosBeatAnswer } from './naming-api.js';
import {
  resolveHttpOptions,
  retune,
  type NacosHttpClientOptions,
  type NacosHttpTunables,
  type NacosHttpTuning,
} from './http-options.js';
import { HttpSubscribers, type NacosInstanceListener } from './subscribers.js';
import { isObject } from '../json.js';
import {
  checkServiceName,
  LIST_CHECKS,
  toNacosInstance,
  type NacosInstance,
  type NacosInstanceInput,
  type NacosServiceInfo,
  type NacosServiceName,
} from '../naming/model.js';
import type { NacosClientSettings } from '../options.js';

/** An instance as {@link NacosHttpClient} takes it: metadata may be JSON text. */
export type NacosHttpInstance = NacosServiceName &
  Omit<NacosInstanceInput, 'metadata'> & {
    readonly metadata?: string | Readonly<Record<string, string>>;
  };

/** Which instances {@link NacosHttpClient.listNamingInstances} gives. */
export interface NacosHttpListParam extends NacosServiceName {
  /** Names, or one text with commas. @default all */
  readonly clusters?: string | readonly string[];
  /** @default the client's */
  readonly namespaceId?: string;
  /** @default false */
  readonly healthyOnly?: boolean | null;
}

/** What {@link NacosHttpClient.subscribe} follows. */
export interface NacosHttpSubscribeParam extends NacosHttpListParam {
  readonly listener: NacosInstanceListener;
  /** What {@link NacosHttpClient.unsubscribe} calls it by. @default the function's name */
  readonly listenerName?: string;
  /** @default 7000 */
  readonly intervalMs?: number;
}

/** How a single write may differ. */
export type NacosHttpWriteOptions = Pick<NacosReadOptions, 'timeoutMs' | 'signal'>;

/**
 * Nacos over its HTTP API, for older servers and where only HTTP gets through. Everything works by asking: long polls for
 * configuration, short ones for services, beats for registrations. What newer servers have dropped of the first API goes
 * through their newest one, where some of it is for administrators.
 *
 * ```ts
 * const client = new NacosHttpClient({ serverAddresses: 'http://10.0.0.1:8848,10.0.0.2:8848' });
 * await client.publishConfig('orders.yaml', 'DEFAULT_GROUP', 'limit: 5');
 * await client.addNamingInstance({ serviceName: 'orders', ip: '10.0.0.5', port: 8080 }, { heartbeatIntervalMs: 5000 });
 * await client.close();
 * ```
 */
export class NacosHttpClient {
  private readonly env: Environment;
  private readonly settings: NacosClientSettings;
  private tuning: NacosHttpTuning;
  private readonly core: HttpCore;
  private readonly reading: ConfigReading;
  private readonly watchers: ConfigListeners;
  private readonly beats: HttpBeats;
  private readonly subscribers: HttpSubscribers;
  private closing: Promise<void> | undefined;

  /**
   * Nothing is sent before the first call.
   *
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  constructor(options: NacosHttpClientOptions) {
    const { settings, tuning } = resolveHttpOptions(options);
    this.settings = settings;
    this.tuning = tuning;
    this.env = standaloneEnvironment(options.logger, options.logLevel);
    const timeoutMs = (): number => this.tuning.requestTimeoutMs;
    this.core = new HttpCore({
      env: this.env,
      settings,
      proxies: () => this.tuning.proxies,
      requestTimeoutMs: timeoutMs,
      pollMs: 7000,
      pullingTimeoutMs: () => this.tuning.pullingTimeoutMs,
      pullingConfigSize: () => this.tuning.pullingConfigSize,
    });
    const files = (): ConfigFiles => classicFiles(this.tuning.failoverBase, this.tuning.snapshotBase);
    this.reading = new ConfigReading({
      env: this.env,
      // The folders may be changed: they are looked up for every use.
      files: {
        failover: (address) => files().failover(address),
        snapshot: (address) => files().snapshot(address),
        save: (address, kept) => files().save(address, kept),
        forget: (address) => files().forget(address),
      },
      filter: settings.configFilter,
      noSnapshot: () => this.tuning.noSnapshot,
      query: (address, read) => this.core.config.query(address, read),
    });
    this.watchers = new ConfigListeners(
      this.env,
      this.core.items,
      this.reading,
      () => this.tuning.noSnapshot,
      new Slots(() => this.tuning.callbackConcurrency),
    );
    const troubles = new TroubleLog(this.env.logger, this.env.clock, this.env.backend);
    this.beats = new HttpBeats(this.env, this.core.naming, timeoutMs, troubles);
    this.subscribers = new HttpSubscribers(this.env, troubles);
  }

  /**
   * Changes options from now on.
   *
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  setOptions(changes: NacosHttpTunables): void {
    this.tuning = retune(this.tuning, changes);
  }

  /**
   * The content of an item: from the failover folder, else from a server, else from the snapshot folder; undefined when
   * the server says that there is none.
   *
   * @throws DiscoveryError `INVALID_NAME`, `BACKEND_REFUSED`, or `BACKEND_UNAVAILABLE` when there is no snapshot either
   */
  async getConfig(dataId: string, group?: string, options: NacosReadOptions = {}): Promise<string | undefined> {
    const address = this.address(dataId, group);
    this.assertOpen();
    return this.reading.get(address, options);
  }

  /**
   * Creates an item or replaces its content.
   *
   * @throws DiscoveryError `INVALID_OPTION` without content, `INVALID_NAME`, `CONFIG_CONFLICT`, `BACKEND_REFUSED`,
   * `BACKEND_UNAVAILABLE`
   */
  async publishConfig(
    dataId: string,
    group: string | undefined,
    content: string,
    options: NacosHttpWriteOptions & Omit<NacosPublishParam, 'dataId' | 'group' | 'content'> = {},
  ): Promise<true> {
    const address = this.address(dataId, group);
    assertContent(content, dataId);
    this.assertOpen();
    const { timeoutMs, signal, ...more } = options;
    const param = { ...more, dataId, group: address.group, content };
    const stored = await encrypted(this.settings.configFilter, address, param);
    await this.core.config.publish(stored, address, defined({ timeoutMs, signal }));
    return true;
  }

  /** Removes an item; also succeeds when there was none. */
  async removeConfig(dataId: string, group?: string, options: NacosHttpWriteOptions = {}): Promise<true> {
    const address = this.address(dataId, group);
    this.assertOpen();
    await this.core.config.remove(address, options);
    return true;
  }

  /**
   * Calls every function once for an item that exists, then after each change and after its removal (with undefined).
   * They run beside each other, as many as `callbackConcurrency` says.
   *
   * @throws DiscoveryError `INVALID_NAME`, `BACKEND_CLOSED`
   */
  addConfigWatchers(dataId: string, group: string | undefined, watchers: readonly NacosConfigListener[]): void {
    const address = this.address(dataId, group);
    this.assertOpen();
    this.core.start();
    for (const watcher of watchers) this.watchers.add(address, watcher);
  }

  /** Takes one occurrence of a function away, or all of them; tells how many. */
  removeConfigWatcher(
    dataId: string,
    group: string | undefined,
    watcher: NacosConfigListener,
    removeAll = false,
  ): number {
    const address = this.address(dataId, group);
    let removed = 0;
    while (this.watchers.remove(address, watcher)) {
      removed += 1;
      if (!removeAll) break;
    }
    return removed;
  }

  /**
   * Registers an instance. It expires unless beats follow: by `heartbeatIntervalMs` (`'auto'`: as often as the server
   * asks), or by {@link sendHeartbeat} from hand.
   *
   * @throws DiscoveryError `INVALID_INSTANCE`, `INVALID_NAME`, `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`
   */
  async addNamingInstance(
    param: NacosHttpInstance,
    options: { readonly heartbeatIntervalMs?: number | 'auto'; readonly signal?: AbortSignal } = {},
  ): Promise<true> {
    const target = this.target(param, options.signal);
    const { heartbeatIntervalMs: every } = options;
    if (typeof every === 'number' && !(every >= 50 && every < 2 ** 31)) {
      throw new DiscoveryError('INVALID_OPTION', 'heartbeatIntervalMs must be at least 50 milliseconds', {
        field: 'heartbeatIntervalMs',
      });
    }
    await this.core.naming.register(target);
    if (every !== undefined && target.instance.ephemeral) {
      this.beats.start(target.service, target.group, target.instance, every === 'auto' ? undefined : every);
    }
    return true;
  }

  /** Takes an instance back, and ends its beats. */
  async removeNamingInstance(param: NacosHttpInstance, signal?: AbortSignal): Promise<true> {
    const target = this.target(param, signal);
    await this.beats.stop(target.service, target.group, target.instance);
    await this.core.naming.deregister(target);
    return true;
  }

  /**
   * Changes weight, metadata, enabled of an instance, as the console does: the server puts it over the registration, and
   * it stays over later registrations of the same address.
   */
  async modifyNamingInstance(param: NacosHttpInstance, signal?: AbortSignal): Promise<true> {
    const target = this.target(param, signal);
    await this.core.naming.modify(target);
    this.beats.update(target.service, target.group, target.instance);
    return true;
  }

  /** A service with its instances; one that never was has none. */
  async listNamingInstances(param: NacosHttpListParam, signal?: AbortSignal): Promise<NacosServiceInfo> {
    checkOptions('listNamingInstances()', param, { ...LIST_CHECKS, namespaceId: text });
    const { service, group } = checkServiceName(param);
    this.assertOpen();
    const clusters = typeof param.clusters === 'string' ? param.clusters.split(',') : param.clusters;
    return this.core.naming.list(
      {
        service,
        group,
        ...defined({ clusters, namespace: param.namespaceId, healthyOnly: param.healthyOnly ?? undefined, signal }),
      },
      (record, error) => this.env.report({ type: 'record.skipped', backend: this.env.backend, record, error }),
    );
  }

  /**
   * One instance.
   *
   * @throws DiscoveryError `BACKEND_REFUSED` when there is none
   */
  async getNamingInstance(
    param: NacosServiceName & Pick<NacosInstanceInput, 'ip' | 'port' | 'clusterName' | 'ephemeral'>,
    signal?: AbortSignal,
  ): Promise<NacosInstance> {
    return this.core.naming.get(this.target(param, signal));
  }

  /** Sends one beat; the answer tells when the next one should come and whether the server knows the instance. */
  async sendHeartbeat(param: NacosHttpInstance, signal?: AbortSignal): Promise<NacosBeatAnswer> {
    return this.core.naming.beat(this.target(param, signal), false);
  }

  /** The names of the services of a group, one page of them, and how many there are. */
  async listServices(
    param: { readonly groupName?: string; readonly pageNo?: number; readonly pageSize?: number } = {},
    signal?: AbortSignal,
  ): Promise<{ readonly count: number; readonly services: readonly string[] }> {
    this.assertOpen();
    const { groupName = 'DEFAULT_GROUP', pageNo = 1, pageSize = 10 } = param;
    return this.core.naming.listServices(groupName, pageNo, pageSize, signal);
  }

  /**
   * Calls the listener with `ADDED`, `MODIFIED` or `DELETED` for each instance that changed, by asking every 7 seconds;
   * what is there at first is `ADDED`. Resolves after the first answer.
   *
   * @throws DiscoveryError `INVALID_NAME`, `INVALID_OPTION`
   */
  async subscribe(param: NacosHttpSubscribeParam): Promise<void> {
    const { service } = checkServiceName(param);
    this.assertOpen();
    const { listener, listenerName, intervalMs = 7000, ...query } = param;
    if (!(intervalMs >= 50 && intervalMs < 2 ** 31)) {
      throw new DiscoveryError('INVALID_OPTION', 'intervalMs must be at least 50 milliseconds', {
        field: 'intervalMs',
      });
    }
    const list = async (signal: AbortSignal): Promise<readonly NacosInstance[]> =>
      (await this.listNamingInstances(query, signal)).hosts;
    const timeoutMs = (): number => this.tuning.requestTimeoutMs * 2;
    await this.subscribers.add(service, listenerName ?? listener.name, intervalMs, timeoutMs, list, listener);
  }

  /** Ends a service's subscriptions, all or those of one listener by its name. */
  unsubscribe(serviceName: string, listenerName?: string): Promise<void> {
    return this.subscribers.remove(serviceName, listenerName);
  }

  /** Ends all service subscriptions. */
  stopSubscribe(): Promise<void> {
    return this.subscribers.close();
  }

  /** Ends everything; registrations that only beats kept alive expire. */
  close(): Promise<void> {
    this.closing ??= (async () => {
      this.watchers.close();
      await Promise.all([this.subscribers.close(), this.beats.close()]);
      await this.core.close();
    })();
    return this.closing;
  }

  private address(dataId: string, group: string | undefined): ConfigAddress {
    return checkConfigKey(defined({ dataId, group }), this.settings.namespaces.config);
  }

  private target(param: NacosHttpInstance, signal: AbortSignal | undefined) {
    const { service, group } = checkServiceName(param);
    this.assertOpen();
    const { metadata, ...rest } = param;
    const instance = toNacosInstance({ ...rest, metadata: toMetadata(metadata) });
    return defined({ service, group, instance, signal });
  }

  private assertOpen(): void {
    if (this.closing !== undefined) throw new DiscoveryError('BACKEND_CLOSED', 'the Nacos client was closed');
  }
}

/** Metadata as an object, which may have been given as JSON text. */
function toMetadata(given: string | Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  if (given === undefined || typeof given !== 'string') return given ?? {};
  let json: unknown;
  try {
    json = JSON.parse(given);
  } catch (cause) {
    throw new DiscoveryError(
      'INVALID_INSTANCE',
      `metadata must be an object or the JSON text of one: ${messageOf(cause)}`,
      {
        field: 'metadata',
        cause,
      },
    );
  }
  if (!isObject(json)) {
    throw new DiscoveryError('INVALID_INSTANCE', 'metadata must be an object or the JSON text of one', {
      field: 'metadata',
    });
  }
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}
