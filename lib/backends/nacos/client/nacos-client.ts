import { DiscoveryError } from '../../../model/index.js';
import { openParts, type ClientParts } from './client-parts.js';
import { NacosConfigService } from './config/config-service.js';
import { NacosNamingService } from './naming/naming-service.js';
import type { NacosClientOptions } from './options.js';

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
  private starting: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  /**
   * Starts nothing.
   *
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  constructor(options: NacosClientOptions) {
    this.parts = openParts(options);
    this.config = new NacosConfigService(this.parts);
    this.naming = new NacosNamingService(this.parts);
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
      await Promise.all([this.naming.close(), this.config.close()]);
      await this.parts.close();
    })();
    return this.closing;
  }
}
