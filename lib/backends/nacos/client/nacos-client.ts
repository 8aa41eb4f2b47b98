import { defined, DiscoveryError } from '../../../model/index.js';
import { NacosAuth } from './auth.js';
import { NacosConfigService } from './config-service.js';
import { standaloneEnvironment, type Environment } from './environment.js';
import { HttpTransport } from './http.js';
import type { NacosInstance } from './naming-model.js';
import { NacosNamingService } from './naming-service.js';
import { resolveClientOptions, type NacosClientOptions, type NacosClientSettings } from './options.js';
import { persistentOverHttp } from './http-api.js';
import { RpcClient } from './rpc-client.js';
import { NacosServers } from './servers.js';

/**
 * What the services of one client share.
 *
 * @internal
 */
export interface ClientParts {
  readonly env: Environment;
  readonly settings: NacosClientSettings;
  readonly rpc: RpcClient;
  readonly settleMs: number;
  /** Registers what outlives the connection at servers that don't know the message for it. */
  readonly persistentFallback: (
    operation: 'register' | 'deregister',
    service: string,
    group: string,
    instance: NacosInstance,
    signal?: AbortSignal,
  ) => Promise<void>;
}

/** How long a list that became shorter with a reconnection is doubted, in milliseconds. */
const SETTLE_MS = 5000;

/**
 * Configuration and naming over one gRPC connection.
 *
 * ```ts
 * const client = new NacosClient({ serverAddresses: ['10.0.0.1:8848', '10.0.0.2:8848'] });
 * await client.start();
 * await client.naming.registerInstance({ serviceName: 'orders', ip: '10.0.0.5', port: 8080 });
 * await client.close();
 * ```
 */
export class NacosClient {
  readonly config: NacosConfigService;
  readonly naming: NacosNamingService;
  /** @internal */
  readonly parts: ClientParts;
  private readonly http: HttpTransport;
  private readonly auth: NacosAuth;
  private starting: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  /**
   * Starts nothing.
   *
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  constructor(
    options: NacosClientOptions,
    lent?: { readonly env: Environment; readonly settings: NacosClientSettings },
  ) {
    const settings = lent?.settings ?? resolveClientOptions('NacosClient', options);
    const env = lent?.env ?? standaloneEnvironment(options.logger, options.logLevel);
    this.http = new HttpTransport({ clock: env.clock, tls: settings.tls });
    const servers = new NacosServers(settings, env, this.http);
    this.auth = new NacosAuth(settings, env, this.http, servers.requests);
    const rpc = new RpcClient(settings, env, servers, this.auth);
    this.parts = {
      env,
      settings,
      rpc,
      settleMs: SETTLE_MS,
      persistentFallback: (operation, service, group, instance, signal) =>
        persistentOverHttp({ env, settings, http: this.http, auth: this.auth, servers: servers.requests }, operation, {
          service,
          group,
          instance,
          ...defined({ signal }),
        }),
    };
    this.config = new NacosConfigService(this);
    this.naming = new NacosNamingService(this);
  }

  /**
   * Loads the gRPC package and begins to connect. Waits for a server as long as for one request, and doesn't fail without
   * one.
   *
   * @param wait whether to wait for the first connection. @default true
   * @throws DiscoveryError `MISSING_PEER`, `INVALID_OPTION` for certificates that can't be read, `BACKEND_CLOSED`
   */
  async start(wait = true): Promise<void> {
    if (this.closing !== undefined) throw new DiscoveryError('BACKEND_CLOSED', 'the Nacos client was closed');
    this.starting ??= (async () => {
      await this.parts.rpc.start();
      this.naming.start();
      this.config.start();
    })();
    await this.starting;
    if (wait) await this.parts.rpc.untilConnected(this.parts.settings.requestTimeoutMs);
  }

  /** Ends everything, with the connection and whatever was registered over it. */
  close(): Promise<void> {
    this.closing ??= (async () => {
      await this.starting?.catch(() => {});
      await Promise.all([this.naming.stop(), this.config.stop()]);
      this.auth.close();
      await this.parts.rpc.close();
      await this.http.close();
    })();
    return this.closing;
  }
}
