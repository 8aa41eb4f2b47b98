import { isDeepStrictEqual } from 'node:util';
import { openFeed, type Clock, type Logger, type PullSource, type Watch } from '../../../backend/index.js';
import { AclApi } from './acl.js';
import { addressText } from './address.js';
import { AgentApi, ChecksApi, MembersApi, ServicesApi } from './agent.js';
import {
  blockingSource,
  WatchBudget,
  type BlockingQueryOptions,
  type WatchReport,
  type WatchSettings,
} from './blocking-query.js';
import { CatalogApi, HealthApi } from './catalog.js';
import { resolveClientOptions, type ConsulClientOptions, type ResolvedClientOptions } from './client-options.js';
import { CoordinateApi, OperatorApi, SnapshotApi, StatusApi } from './cluster.js';
import { EventApi } from './event.js';
import { KvApi } from './kv.js';
import type { Answer, ConsulMeta } from './meta.js';
import { QueryApi } from './query.js';
import { ConsulRequests, type ConsulResponse, type ReadOptions, type RequestOptions } from './requests.js';
import { SessionApi } from './session.js';
import { TokenSource } from './token.js';
import { Transport } from './transport.js';
import type { Transaction } from './transaction.js';

/** Options of {@link ConsulClient.watch}. */
export interface WatchOptions<T> extends Partial<WatchSettings> {
  /** Whether two values are the same, so that the second is no news. @default deep equality */
  readonly same?: (a: T, b: T) => boolean;
  /** For messages. */
  readonly what?: string;
  /** Hears of what the listener threw. @default the logger does */
  readonly onListenerError?: (error: unknown) => void;
  /** @default Math.random */
  readonly random?: () => number;
}

/**
 * Consul's HTTP API. Operations are grouped by area; answers are spelled as Consul spells them. An answer that Consul
 * gives metadata with is a pair of the value and its meta, and that meta goes straight back into `watch`.
 *
 * ```ts
 * const consul = new ConsulClient('10.0.0.5');
 * const [entry, meta] = await consul.kv.get('config/limit');
 * const [changed] = await consul.kv.get('config/limit', { watch: [meta, '30s'] });
 * await consul.close();
 * ```
 *
 * It connects with the first request, keeps its connections, and holds the process until `close()`, or until nothing
 * waits for an answer.
 */
export class ConsulClient {
  readonly acl: AclApi;
  readonly agent: AgentApi;
  readonly catalog: CatalogApi;
  readonly checks: ChecksApi;
  readonly coordinate: CoordinateApi;
  readonly event: EventApi;
  readonly health: HealthApi;
  readonly kv: KvApi;
  readonly members: MembersApi;
  readonly operator: OperatorApi;
  readonly query: QueryApi;
  readonly services: ServicesApi;
  readonly session: SessionApi;
  readonly snapshot: SnapshotApi;
  readonly status: StatusApi;
  /** The agent's address, for messages. */
  readonly address: string;
  readonly clock: Clock;
  private readonly settings: ResolvedClientOptions;
  private readonly logger: Logger;
  private readonly transport: Transport;
  private readonly requests: ConsulRequests;
  private readonly budget: WatchBudget;
  private readonly watches = new Set<Watch>();

  /**
   * @param options an address, or all options
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  constructor(options: string | ConsulClientOptions = {}) {
    const settings = resolveClientOptions(options);
    this.settings = settings;
    const { address, token, tokenFile, clock, logger, maxWatchConnections } = settings;
    this.logger = logger;
    this.clock = clock;
    this.address = addressText(address);
    this.transport = new Transport(settings);
    const tokens = new TokenSource(token, tokenFile, clock, logger);
    const { datacenter, namespace, partition, consistency, requestTimeoutMs, waitMs } = settings;
    const defaults = { datacenter, namespace, partition, consistency, requestTimeoutMs, waitMs };
    const requests = new ConsulRequests(this.transport, tokens, defaults, clock, logger);
    this.requests = requests;
    this.budget = new WatchBudget(maxWatchConnections, (watches) =>
      logger.warn(
        `${watches} watches share ${maxWatchConnections} connections to Consul: they take turns from now on; raise maxWatchConnections (and http_max_conns_per_client of the agent)`,
      ),
    );
    this.acl = new AclApi(requests);
    this.agent = new AgentApi(requests);
    this.catalog = new CatalogApi(requests);
    this.checks = new ChecksApi(requests);
    this.coordinate = new CoordinateApi(requests);
    this.event = new EventApi(requests);
    this.health = new HealthApi(requests);
    this.kv = new KvApi(requests, settings.transactionLimit);
    this.members = new MembersApi(requests);
    this.operator = new OperatorApi(requests);
    this.query = new QueryApi(requests);
    this.services = new ServicesApi(requests);
    this.session = new SessionApi(requests);
    this.snapshot = new SnapshotApi(requests);
    this.status = new StatusApi(requests);
  }

  /** Whether requests carry a token by themselves. */
  get hasToken(): boolean {
    return this.requests.hasToken;
  }

  /** Requests that wait for an answer, blocking queries included. */
  get requestsInFlight(): number {
    return this.transport.inFlight;
  }

  /** Begins a transaction. */
  prepare(): Transaction {
    return this.kv.prepare();
  }

  /**
   * Any operation, also one that this client has no method for.
   *
   * @param path below `/v1`, encoded: `/kv/a/b`
   * @throws ConsulError, its `kind` by the status; DiscoveryError `ABORTED` or `BACKEND_CLOSED`
   */
  request(method: string, path: string, options?: RequestOptions): Promise<ConsulResponse> {
    return this.requests.request(method, path, options);
  }

  /**
   * Goes on reading: `listener` hears of the first value and of every change, in order, and of errors, after which it is
   * tried again for ever. A value that came back unchanged is told again after an error only.
   *
   * ```ts
   * const watch = consul.watch((options) => consul.health.service('orders', options), ({ value, error }) => { … });
   * ```
   *
   * @param ask one read; it must hand the given options on
   */
  watch<T>(
    ask: (options: Pick<ReadOptions, 'watch' | 'signal'>) => Promise<Answer<T>>,
    listener: (report: WatchReport<T>) => void,
    options: WatchOptions<T> = {},
  ): Watch {
    const same = options.same ?? isDeepStrictEqual;
    let newest: ConsulMeta | undefined;
    const source = this.blocking<T, T>({
      what: options.what ?? 'a watched value',
      settings: {
        waitMs: options.waitMs ?? this.settings.waitMs,
        burst: options.burst ?? 2,
        minIntervalMs: options.minIntervalMs ?? 500,
        maxBackoffMs: options.maxBackoffMs ?? 30_000,
      },
      ask,
      decode: (value, meta, previous) => {
        newest = meta;
        return previous !== undefined && same(previous, value) ? previous : value;
      },
    });
    const watch: Watch = openFeed(
      source,
      {
        clock: this.clock,
        random: options.random ?? Math.random,
        backend: 'consul',
        onListenerError:
          options.onListenerError ?? ((error) => this.logger.error(`a listener of a watch failed: ${String(error)}`)),
        onClosed: () => this.watches.delete(watch),
      },
      ({ value, error }) => listener(error === undefined ? { value, meta: newest as ConsulMeta } : { error }),
    );
    this.watches.add(watch);
    return watch;
  }

  /** @internal The source of a question that is asked for ever. */
  blocking<T, V>(options: Omit<BlockingQueryOptions<T, V>, 'budget'>): PullSource<V> {
    return blockingSource({ ...options, budget: this.budget });
  }

  /** Ends all watches, requests and connections. May be called again. */
  async close(): Promise<void> {
    await Promise.all([...this.watches].map((watch) => watch.close()));
    await this.transport.close();
  }
}
