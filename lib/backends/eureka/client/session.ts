import { abandonOnAbort, SingleFlight, TroubleLog, type DriverHost } from '../../../backend/index.js';
import type { EurekaSettings } from '../eureka.options.js';
import { readAmazonMetadata, type AmazonMetadata } from './amazon.js';
import { EurekaApi } from './api.js';
import { NodeHttpClient, type EurekaHttpClient } from './http-client.js';
import { RegistryPoller } from './registry-poller.js';
import { EurekaServers } from './servers.js';

const DEFAULT_METADATA_URL = 'http://169.254.169.254';

const AMAZON = "Amazon's metadata service";

/** One app's connection to Eureka: HTTP, servers, operations. What `EurekaClient` and the backend stand on. */
export class EurekaSession {
  readonly servers: EurekaServers;
  readonly api: EurekaApi;
  readonly http: EurekaHttpClient;
  private readonly closeHttp: () => Promise<void>;
  private readonly amazonFlight = new SingleFlight<AmazonMetadata | undefined>();
  private amazonMetadata: AmazonMetadata | undefined;
  private readonly troubles: TroubleLog;

  /** @param appZone the zone that the app says it is in */
  constructor(
    private readonly host: DriverHost,
    private readonly settings: EurekaSettings,
    appZone?: string,
  ) {
    const { name, context } = host;
    const { clock, logger } = context;
    const { connection } = settings;
    this.troubles = new TroubleLog(logger, clock, name);
    const own = new NodeHttpClient({
      tls: connection.tls,
      connectTimeoutMs: connection.connectTimeoutMs,
      idleTimeoutMs: connection.requestTimeoutMs,
      maxResponseBytes: connection.maxResponseBytes,
      maxRedirects: connection.maxRedirects,
    });
    this.closeHttp = () => own.close();
    this.http = connection.httpClient ?? own;
    this.servers = new EurekaServers({
      backend: name,
      clock,
      logger,
      random: () => context.random(),
      connection,
      appZone,
    });
    this.api = new EurekaApi(name, this.servers, this.http, (line) => logger.debug(`${name}: ${line}`));
  }

  /** Begins what goes on in the background. */
  start(): void {
    this.servers.start();
    // Known in advance, so that the first registration doesn't wait for it.
    if (this.isAmazon) void this.amazon().catch(() => {});
  }

  /** Time enough for every server that one operation tries to be found silent, in milliseconds. */
  get operationTimeoutMs(): number {
    const { requestTimeoutMs, maxAttempts } = this.settings.connection;
    // Servers that DNS hasn't named yet can't be counted.
    return requestTimeoutMs * (Math.min(maxAttempts, Math.max(this.servers.urls.length, 2)) + 1);
  }

  /** A reader of the registry, which isn't started. */
  createPoller(): RegistryPoller {
    return new RegistryPoller(this.host, this.api, this.settings, () => this.operationTimeoutMs);
  }

  /**
   * What Amazon says of this machine: undefined elsewhere, and while the metadata service doesn't answer. Asked again
   * until it has answered once.
   */
  async amazon(signal?: AbortSignal): Promise<AmazonMetadata | undefined> {
    if (!this.isAmazon) return undefined;
    if (this.amazonMetadata !== undefined) return this.amazonMetadata;
    const asking = this.amazonFlight.run('amazon', () => this.askAmazon());
    return abandonOnAbort(asking, signal, "asking Amazon's metadata service");
  }

  /** Ends everything; resolves when nothing goes on any more. */
  async close(): Promise<void> {
    await this.servers.stop();
    await this.closeHttp();
  }

  private get isAmazon(): boolean {
    return this.settings.lease.instance.dataCenter === 'Amazon';
  }

  private async askAmazon(): Promise<AmazonMetadata | undefined> {
    const { instance } = this.settings.lease;
    const url = instance.amazonMetadataUrl ?? DEFAULT_METADATA_URL;
    try {
      const found = await readAmazonMetadata({ url, timeoutMs: instance.amazonTimeoutMs ?? 1000, http: this.http });
      this.amazonMetadata = found;
      this.troubles.works(AMAZON);
      this.servers.setAmazonZone(found['availability-zone']);
      return found;
    } catch (error) {
      this.troubles.failed(AMAZON, error, 'it is asked again with the next registration');
      return undefined;
    }
  }
}
