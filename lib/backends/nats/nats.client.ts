import {
  checkOptions,
  anything,
  silentLogger,
  singleLine,
  systemClock,
  text,
  type Clock,
  type Logger,
} from '../../backend/index.js';
import { NatsServiceClient, type NatsServiceClientOptions } from './client/service-client.js';
import { ServiceQueries, type ServiceQueriesOptions } from './client/service-queries.js';
import {
  CONNECTION_OPTIONS,
  resolveConnectionOptions,
  type NatsConnectionOptions,
} from './connection/connection-options.js';
import type { NatsConnection } from './connection/port.js';
import { NatsSession } from './connection/session.js';
import { JetStreamApi } from './jetstream/api.js';
import type { KeyValueBucketOptions } from './jetstream/bucket-options.js';
import { KeyValueBucket } from './jetstream/key-value.js';
import { addService, type NatsServiceHandle } from './service/service.js';
import type { ServiceConfig } from './service/service-options.js';

/** Options of a {@link NatsClient}. */
export interface NatsClientOptions extends NatsConnectionOptions {
  /** Prefix of the JetStream API; for a domain `$JS.<domain>.API`. @default '$JS.API' */
  readonly jetStreamPrefix?: string;
  /** @default one that writes nothing */
  readonly logger?: Logger;
  /** @default the system's */
  readonly clock?: Clock;
}

/**
 * NATS without Nest: a connection that comes back for ever, services (ADR-32), callers of services, questions about
 * services, and key-value buckets.
 *
 * ```ts
 * const client = new NatsClient({ servers: 'nats://10.0.0.5:4222' });
 * await client.connect();
 * const service = await client.startService({ name: 'calc', version: '1.0.0' });
 * await service.addEndpoint('double', (request) => request.respond(request.json<number>() * 2));
 * await client.serviceClient('calc').call('double', 21); // 42
 * await client.close();
 * ```
 */
export class NatsClient implements AsyncDisposable {
  /** @internal for the Nest room */
  readonly session: NatsSession;
  private readonly api: JetStreamApi;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly services = new Set<NatsServiceHandle>();
  private readonly inboxPrefix: string;
  private closing: Promise<void> | undefined;

  /** @throws DiscoveryError `INVALID_OPTION`, naming the field */
  constructor(options: NatsClientOptions = {}) {
    checkOptions('NatsClient', options, {
      ...CONNECTION_OPTIONS,
      jetStreamPrefix: text,
      logger: anything,
      clock: anything,
    });
    const settings = resolveConnectionOptions('NatsClient', options);
    this.clock = options.clock ?? systemClock;
    this.logger = singleLine(options.logger ?? silentLogger);
    this.inboxPrefix = settings.inboxPrefix;
    this.session = new NatsSession({
      settings,
      clock: this.clock,
      logger: this.logger,
      random: Math.random,
      backend: 'nats',
      name: 'nestjs-service-discovery',
    });
    this.api = new JetStreamApi(this.session, options.jetStreamPrefix ?? '$JS.API');
  }

  /** @throws DiscoveryError `BACKEND_UNAVAILABLE` while there is no connection, `BACKEND_CLOSED` after `close()` */
  get connection(): NatsConnection {
    return this.session.connection;
  }

  /**
   * Begins to connect and doesn't wait for it; with `firstConnect: 'fail'` it does.
   * @throws DiscoveryError `MISSING_PEER`, `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`
   */
  open(): Promise<void> {
    return this.session.open();
  }

  /**
   * Connects, and waits until it is; with `firstConnect: 'fail'` it rejects when the first try fails.
   * @throws DiscoveryError `MISSING_PEER`, `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`, `ABORTED`
   */
  async connect(signal?: AbortSignal): Promise<void> {
    await this.open();
    await this.session.connected(signal);
  }

  /** Makes a service and starts it; it is stopped with the client. Errors as `addService` and `start`. */
  async startService(config: ServiceConfig): Promise<NatsServiceHandle> {
    const { clock, logger, inboxPrefix } = this;
    const service = addService(this.connection, { clock, logger, inboxPrefix, ...config });
    this.services.add(service);
    void service.stopped.then(() => this.services.delete(service));
    await service.start();
    return service;
  }

  /** A caller of one service. @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION` */
  serviceClient(service: string, options: NatsServiceClientOptions = {}): NatsServiceClient {
    const { clock, inboxPrefix } = this;
    return new NatsServiceClient(() => this.session.connection, service, { clock, inboxPrefix, ...options });
  }

  /** Questions about services. */
  queries(options: ServiceQueriesOptions = {}): ServiceQueries {
    const { clock, inboxPrefix } = this;
    return new ServiceQueries(() => this.session.connection, { clock, inboxPrefix, ...options });
  }

  /** A key-value bucket; made with the first use when it doesn't exist. @throws DiscoveryError `INVALID_OPTION` */
  keyValue(bucket: string, options: KeyValueBucketOptions = {}): KeyValueBucket {
    return new KeyValueBucket(this.api, bucket, options, this.clock);
  }

  /** Stops the services that it started, drains and closes the connection unless it was given. Never rejects. */
  close(): Promise<void> {
    this.closing ??= (async () => {
      await Promise.all([...this.services].map((service) => service.stop()));
      await this.session.close();
    })();
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
