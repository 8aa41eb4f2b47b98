import { sleep } from '../../../../backend/index.js';
import { defined, DiscoveryError } from '../../../../model/index.js';
import { encrypted } from './cipher.js';
import { openParts, type ClientParts } from '../client-parts.js';
import { cacheFolderFiles } from './files.js';
import { ConfigItems, type ConfigObservation, type ConfigObserver, type ListenedItem } from './items.js';
import { ConfigListeners, Slots } from './listeners.js';
import {
  assertContent,
  checkConfigKey,
  ownTenant,
  publishExtras,
  toConfigItem,
  type ConfigAddress,
  type NacosConfigItem,
  type NacosConfigKey,
  type NacosConfigListener,
  type NacosPublishParam,
} from './model.js';
import { ConfigReading, type NacosReadOptions } from './reading.js';
import type { Environment } from '../environment.js';
import { NacosError } from '../errors.js';
import { objectsAt, textAt, type Json } from '../json.js';
import type { NacosClientOptions, NacosClientSettings } from '../options.js';
import type { RpcClient } from '../grpc/rpc-client.js';
import { md5 } from '../signing.js';

/** What {@link NacosConfigService.getConfig} takes. */
export type NacosGetConfigParam = NacosConfigKey & NacosReadOptions;

/** How often an item that is just being modified is asked for again. */
const BUSY_TRIES = 10;

/**
 * Nacos's configuration over gRPC.
 *
 * ```ts
 * const config = await NacosConfigService.create({ serverAddresses: 'localhost:8848' });
 * await config.publishConfig({ dataId: 'orders.yaml', content: 'limit: 5', type: 'yaml' });
 * await config.addListener('orders.yaml', 'DEFAULT_GROUP', (tenant, dataId, group, content) => { … });
 * ```
 */
export class NacosConfigService {
  private readonly env: Environment;
  private readonly rpc: RpcClient;
  private readonly settings: NacosClientSettings;
  private readonly items: ConfigItems;
  private readonly reading: ConfigReading;
  private readonly listeners: ConfigListeners;
  private closing: Promise<void> | undefined;

  /**
   * Makes a client of its own and begins to connect; without a server it goes on trying in the background.
   *
   * @throws DiscoveryError `INVALID_OPTION`, `MISSING_PEER`
   */
  static async create(options: NacosClientOptions): Promise<NacosConfigService> {
    const parts = openParts(options);
    const service = new NacosConfigService(parts, () => parts.close());
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
    parts: ClientParts,
    private readonly release: () => Promise<void> = async () => {},
  ) {
    const { rpc, env, settings } = parts;
    this.env = env;
    this.rpc = rpc;
    this.settings = settings;
    this.items = new ConfigItems(
      env,
      {
        epoch: () => rpc.epoch,
        connected: () => rpc.connected,
        listen: (items, signal) => this.listen(items, signal),
        forget: (items) => this.stopListening(items),
        query: (address, signal) => this.query(address, defined({ signal })),
      },
      settings.configRefreshMs,
    );
    this.reading = new ConfigReading({
      env,
      files: cacheFolderFiles(settings.cacheDirectory),
      filter: settings.configFilter,
      noSnapshot: () => settings.noSnapshot,
      query: (address, options) => this.query(address, options),
    });
    this.listeners = new ConfigListeners(
      env,
      this.items,
      this.reading,
      () => settings.noSnapshot,
      new Slots(() => Infinity),
    );
    rpc.onPush('ConfigChangeNotifyRequest', (body) => {
      const [dataId, group] = [textAt(body, 'dataId'), textAt(body, 'group')];
      if (dataId === undefined || group === undefined) {
        throw new DiscoveryError('INVALID_INSTANCE', 'a change of configuration without dataId or group');
      }
      this.items.hinted(dataId, group, this.tenantOf(body));
      return { type: 'ConfigChangeNotifyResponse' };
    });
    rpc.onConnected(() => this.items.connected());
    rpc.onDisconnected((error) => this.items.disconnected(error));
  }

  /** @internal Called once the connection is being made. */
  start(): void {
    this.items.start();
  }

  /**
   * The content of an item: from its failover file if an operator has put one there, else from a server (it is then kept
   * as a snapshot), else from the snapshot. Undefined when the server says that there is none.
   *
   * @throws DiscoveryError `INVALID_NAME`, `BACKEND_REFUSED`, or `BACKEND_UNAVAILABLE` when there is no snapshot either
   */
  async getConfig(param: NacosGetConfigParam): Promise<string | undefined> {
    const address = checkConfigKey(param, this.settings.namespaces.config);
    return this.reading.get(address, param);
  }

  /**
   * Creates an item or replaces its content. A server takes it in a moment before it gives it out: a read right
   * after may still see the old content.
   *
   * @throws DiscoveryError `INVALID_OPTION` without content, `INVALID_NAME`, `CONFIG_CONFLICT` when `casMd5` isn't the
   * present content's, `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`
   */
  async publishConfig(
    param: NacosPublishParam,
    options: Pick<NacosReadOptions, 'timeoutMs' | 'signal'> = {},
  ): Promise<true> {
    const address = checkConfigKey(param, this.settings.namespaces.config);
    assertContent(param.content, param.dataId);
    return this.publishStored(await encrypted(this.settings.configFilter, address, param), options);
  }

  /** @internal Publishes content as it is to be stored. */
  async publishStored(
    param: NacosPublishParam,
    options: Pick<NacosReadOptions, 'timeoutMs' | 'signal'> = {},
  ): Promise<true> {
    const address = checkConfigKey(param, this.settings.namespaces.config);
    try {
      await this.rpc.request(
        'ConfigPublishRequest',
        {
          ...this.base(address),
          content: param.content,
          casMd5: param.casMd5 ?? '',
          additionMap: publishExtras(param),
        },
        // With a condition, a repetition of what had already worked would look like a conflict.
        { ...this.sending(address), ...options, once: param.casMd5 !== undefined },
      );
    } catch (error) {
      throw await this.conflictOr(error, param, address);
    }
    return true;
  }

  /**
   * Removes an item; also succeeds when there was none.
   *
   * @throws DiscoveryError `INVALID_NAME`, `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`
   */
  async removeConfig(
    param: NacosConfigKey & { readonly tag?: string },
    options: Pick<NacosReadOptions, 'timeoutMs' | 'signal'> = {},
  ): Promise<true> {
    const address = checkConfigKey(param, this.settings.namespaces.config);
    await this.rpc.request(
      'ConfigRemoveRequest',
      { ...this.base(address), tag: param.tag ?? '' },
      { ...this.sending(address), ...options },
    );
    return true;
  }

  /**
   * Calls `listener` once for an item that exists, then after every change and after its removal (with undefined). The
   * same function may be added several times.
   *
   * @throws DiscoveryError `INVALID_NAME`, `BACKEND_CLOSED`
   */
  addListener(dataId: string, group: string | undefined, listener: NacosConfigListener): Promise<void> {
    return this.attempt(() => {
      this.assertOpen();
      this.listeners.add(this.address(dataId, group), listener);
    });
  }

  /** Takes one occurrence of a listener away; resolves with whether there was one. */
  removeListener(dataId: string, group: string | undefined, listener: NacosConfigListener): Promise<boolean> {
    return this.attempt(() => this.listeners.remove(this.address(dataId, group), listener));
  }

  /** Whether a server is connected at this moment. */
  serverHealth(): boolean {
    return this.rpc.connected;
  }

  /** Ends everything; listeners aren't called any more. */
  close(): Promise<void> {
    this.closing ??= (async () => {
      this.listeners.close();
      await this.items.close();
      await this.release();
    })();
    return this.closing;
  }

  /** @internal An item as the servers have it, without failover file and snapshot. */
  async query(address: ConfigAddress, options: NacosReadOptions = {}): Promise<NacosConfigItem | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { body } = await this.rpc.request('ConfigQueryRequest', this.base(address), {
          ...this.sending(address, { notify: 'false' }),
          ...defined({ signal: options.signal, timeoutMs: options.timeoutMs }),
        });
        return toConfigItem(body, address.dataId);
      } catch (error) {
        const answered = error instanceof NacosError && error.messageType === 'ConfigQueryResponse';
        if (!answered) throw error;
        if (error.status === 300) return undefined;
        if (error.status !== 400) throw error;
        // It is being modified this very moment.
        if (attempt >= BUSY_TRIES || !(await sleep(this.env.clock, 50, options.signal))) {
          throw new DiscoveryError('BACKEND_UNAVAILABLE', `${address.dataId} is being modified`, { cause: error });
        }
      }
    }
  }

  /** @internal Follows an item as the servers have it. */
  observe(address: ConfigAddress, observer: ConfigObserver): ConfigObservation {
    return this.items.observe(address, observer);
  }

  /** @internal The readable content of a stored one. */
  readable(address: ConfigAddress, item: Pick<NacosConfigItem, 'content' | 'encryptedDataKey'>): Promise<string> {
    return this.reading.readable(address, item);
  }

  /** @internal */
  address(dataId: string, group: string | undefined): ConfigAddress {
    return checkConfigKey(defined({ dataId, group }), this.settings.namespaces.config);
  }

  private attempt<T>(run: () => T): Promise<T> {
    try {
      return Promise.resolve(run());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** A server says that a condition failed with a general error only, so the content is looked at. */
  private async conflictOr(error: unknown, param: NacosPublishParam, address: ConfigAddress): Promise<unknown> {
    const refused = error instanceof NacosError && error.status === 500;
    if (param.casMd5 === undefined || !refused) return error;
    if (!/cas|md5/i.test(error.message)) {
      const present = await this.query(address).catch(() => undefined);
      if (present === undefined || present.md5 === param.casMd5) return error;
    }
    return new DiscoveryError('CONFIG_CONFLICT', `${param.dataId} has changed meanwhile; read it again`, {
      backend: this.env.backend,
      field: 'casMd5',
      cause: error,
    });
  }

  private async listen(items: readonly ListenedItem[], signal: AbortSignal): Promise<readonly ConfigAddress[]> {
    const { body } = await this.rpc.request(
      'ConfigBatchListenRequest',
      { headers: {}, module: 'config', listen: true, configListenContexts: items.map(contextOf) },
      {
        resource: { kind: 'config' },
        headers: this.commonHeaders(),
        signal,
        timeoutMs: this.settings.requestTimeoutMs,
      },
    );
    return objectsAt(body, 'changedConfigs').flatMap((changed) => {
      const [dataId, group] = [textAt(changed, 'dataId'), textAt(changed, 'group')];
      return dataId === undefined || group === undefined ? [] : [{ dataId, group, tenant: this.tenantOf(changed) }];
    });
  }

  private async stopListening(items: readonly ListenedItem[]): Promise<void> {
    await this.rpc.request(
      'ConfigBatchListenRequest',
      { headers: {}, module: 'config', listen: false, configListenContexts: items.map(contextOf) },
      { resource: { kind: 'config' }, headers: this.commonHeaders() },
    );
  }

  private tenantOf(body: Json): string {
    return ownTenant(textAt(body, 'tenant') ?? '', this.settings.namespaces.config);
  }

  private base({ dataId, group, tenant }: ConfigAddress): Json {
    return { headers: {}, module: 'config', dataId, group, tenant };
  }

  private sending({ group, tenant }: ConfigAddress, headers: Readonly<Record<string, string>> = {}) {
    return {
      resource: { kind: 'config' as const, tenant, group },
      headers: { ...this.commonHeaders(), ...headers },
    };
  }

  private commonHeaders(): Record<string, string> {
    const now = String(this.env.clock.now());
    return {
      'Client-AppName': this.settings.appName,
      'Client-RequestTS': now,
      'Client-RequestToken': md5(now),
      exConfigInfo: 'true',
      charset: 'utf-8',
    };
  }

  private assertOpen(): void {
    if (this.closing !== undefined) {
      throw new DiscoveryError('BACKEND_CLOSED', `the configuration service of ${this.env.backend} was closed`, {
        backend: this.env.backend,
      });
    }
  }
}

function contextOf({ dataId, group, tenant, md5: known }: ListenedItem): Json {
  return { dataId, group, tenant, md5: known };
}
