import {
  conceal,
  PeriodicTask,
  ServerList,
  TroubleLog,
  withoutSecrets,
  abandonOnAbort,
  type Clock,
  type Logger,
} from '../../../backend/index.js';
import { DiscoveryError, messageOf } from '../../../model/index.js';
import { DEFAULT_ZONE } from '../eureka.instance.js';
import type { ConnectionSettings } from '../eureka.options.js';
import { createTxtLookup, lookUpZones, type TxtLookup } from './dns.js';
import { orderByZone, parseServiceUrls, toEndpoint, type Endpoint } from './service-urls.js';

/** What the servers need of whoever owns them. */
export interface EurekaServersOptions {
  readonly backend: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly connection: ConnectionSettings;
  /** The zone that the app says it is in. */
  readonly appZone: string | undefined;
  /** @default the system's DNS, or `dns.nameServers` */
  readonly lookup?: TxtLookup;
}

/** The Eureka servers: which there are, in which order they are asked, and which one is in use. */
export class EurekaServers {
  private readonly list: ServerList;
  private readonly endpoints = new Map<string, Endpoint>();
  private readonly refreshing: PeriodicTask | undefined;
  private zones: ReadonlyMap<string, readonly string[]>;
  /** This client's order of all servers that it has seen. */
  private readonly ranks = new Map<string, number>();
  private amazonZone: string | undefined;
  private readonly firstLookup: Promise<void>;
  private firstLookupEnded: () => void = () => {};
  private lookupError: unknown;

  constructor(private readonly options: EurekaServersOptions) {
    const { backend, clock, connection, random } = options;
    this.zones = connection.zones;
    this.list = new ServerList({
      clock,
      backend,
      servers: [],
      // Answers that are no failure are returned, not thrown.
      isServerFailure: () => true,
      maxAttempts: connection.maxAttempts,
      sessionMs: connection.sessionMs,
      random,
    });
    this.firstLookup = new Promise((resolve) => {
      this.firstLookupEnded = resolve;
    });
    this.refreshing = connection.dns === undefined ? undefined : this.createRefreshing();
    this.arrange();
  }

  /** The own zone. */
  get zone(): string {
    const { connection, appZone } = this.options;
    const [first] = this.zones.keys();
    return connection.zone ?? appZone ?? this.amazonZone ?? (first === '' ? undefined : first) ?? DEFAULT_ZONE;
  }

  /** Base URLs of all servers, without credentials, in the order in which they are tried. */
  get urls(): readonly string[] {
    return this.list.all;
  }

  /** Those that failed and are avoided for now. */
  get quarantined(): readonly string[] {
    return this.list.quarantined;
  }

  /** Begins to look the servers up, where they come from DNS. */
  start(): void {
    this.refreshing?.start('now');
  }

  async stop(): Promise<void> {
    this.firstLookupEnded();
    await this.refreshing?.stop();
  }

  /** Tells what Amazon says of the zone. */
  setAmazonZone(zone: string | undefined): void {
    this.amazonZone = zone;
    this.arrange();
  }

  /**
   * Asks the present server, and the next ones when it fails.
   *
   * @throws DiscoveryError as `ServerList.run`
   */
  async run<T>(operation: (server: Endpoint) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { backend } = this.options;
    if (this.list.all.length === 0) {
      await abandonOnAbort(this.firstLookup, signal, `looking the servers of ${backend} up`);
      if (this.list.all.length === 0) {
        throw new DiscoveryError(
          'BACKEND_UNAVAILABLE',
          `no server of ${backend} is known: ${messageOf(this.lookupError ?? 'the look-up was stopped')}`,
          { backend, cause: this.lookupError },
        );
      }
    }
    return this.list.run((url) => operation(this.endpoints.get(url) ?? toEndpoint(url)), signal);
  }

  private createRefreshing(): PeriodicTask {
    const { clock, connection, random, backend, logger } = this.options;
    const { domain, region, refreshMs, nameServers } = connection.dns ?? {
      domain: '',
      region: '',
      refreshMs: 300_000,
      nameServers: [],
    };
    const troubles = new TroubleLog(logger, clock, backend);
    const what = 'the look-up of servers';
    const lookup = this.options.lookup ?? createTxtLookup(nameServers, connection.requestTimeoutMs);
    return new PeriodicTask({
      clock,
      random,
      what: `looking the servers of ${backend} up`,
      intervalMs: () => refreshMs,
      // Soon again after a failure: until the first success there is nobody to ask.
      retry: { initialMs: Math.min(2000, refreshMs), maxMs: Math.min(64_000, refreshMs) },
      timeoutMs: () => 30_000,
      run: async (signal) => {
        const found = await lookUpZones(lookup, region, domain);
        if (signal.aborted) return;
        const defaults = connection.urlDefaults;
        this.zones = new Map(
          [...found].map(([zone, hosts]) => [zone, parseServiceUrls(hosts, defaults, `the zone ${zone}`, 'dns')]),
        );
        this.arrange();
        this.firstLookupEnded();
        troubles.works(what);
      },
      onError: (error) => {
        this.lookupError = error;
        this.firstLookupEnded();
        const kept = this.list.all.length > 0 ? 'the servers known are used on' : 'no server is known';
        troubles.failed(what, error, `${kept}, and it is tried again`);
      },
    });
  }

  private arrange(): void {
    const { connection, random } = this.options;
    const rank = (url: string): number => {
      const known = this.ranks.get(url) ?? random();
      this.ranks.set(url, known);
      return known;
    };
    const ordered = orderByZone(this.zones, this.zone, connection.preferSameZone, (servers) =>
      connection.shuffleServers ? [...servers].sort((a, b) => rank(a) - rank(b)) : servers,
    );
    for (const url of ordered) {
      const endpoint = toEndpoint(url);
      if (!this.endpoints.has(endpoint.baseUrl)) this.endpoints.set(endpoint.baseUrl, endpoint);
    }
    this.list.update(ordered.map((url) => withoutSecrets(toEndpoint(url).baseUrl)));
  }
}

conceal(EurekaServers.prototype);
