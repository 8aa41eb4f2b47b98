import {
  BackendBase,
  type Backend,
  type BackendContext,
  type ConfigDriver,
  type DiscoveryDriver,
  type RegistryDriver,
} from '../../backend/index.js';
import { ServiceQueries } from './client/service-queries.js';
import type { NatsConnection } from './connection/port.js';
import { NatsSession } from './connection/session.js';
import { JetStreamApi } from './jetstream/api.js';
import { KeyValueBucket } from './jetstream/key-value.js';
import { NatsConfigDriver } from './nats.config.js';
import { NatsDiscoveryDriver } from './nats.discovery.js';
import type { NatsSettings } from './nats.options.js';
import { NatsRegistryDriver } from './nats.registry.js';
import type { NatsShared } from './nats.shared.js';

/** One app's NATS backend. */
export class NatsBackend extends BackendBase implements Backend {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
  readonly config: ConfigDriver;
  readonly settings: NatsSettings;
  /** @internal for the Nest room */
  readonly session: NatsSession;
  private readonly api: JetStreamApi;
  private readonly buckets: readonly KeyValueBucket[];

  constructor(settings: NatsSettings, context: BackendContext) {
    super(settings.name, context);
    this.settings = settings;
    const { clock, logger } = this.context;
    this.session = new NatsSession({
      settings: settings.connection,
      clock,
      logger,
      random: () => context.random(),
      backend: settings.name,
      name: context.application.name,
    });
    this.api = new JetStreamApi(this.session, settings.jetStreamPrefix);
    const { presence, config, connection } = settings;
    const presenceBucket =
      presence.mode === 'key-value'
        ? new KeyValueBucket(this.api, presence.bucket, presence.bucketOptions, clock)
        : undefined;
    const configBucket = new KeyValueBucket(this.api, config.bucket, config.bucketOptions, clock);
    this.buckets = presenceBucket === undefined ? [configBucket] : [presenceBucket, configBucket];
    const shared: NatsShared = {
      host: this,
      settings,
      session: this.session,
      presence: presenceBucket,
      config: configBucket,
      queries: new ServiceQueries(() => this.session.connection, {
        apiPrefix: settings.apiPrefix,
        inboxPrefix: connection.inboxPrefix,
        clock,
        onSkipped: (error, subject) => this.skip(subject, error),
      }),
    };
    this.registry = new NatsRegistryDriver(shared);
    this.discovery = new NatsDiscoveryDriver(shared);
    this.config = new NatsConfigDriver(shared);
  }

  /**
   * The connection, for services and callers that share it.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` while there is none, `BACKEND_CLOSED` after `close()`
   */
  get connection(): NatsConnection {
    return this.session.connection;
  }

  /** Resolves when there is a connection. @throws DiscoveryError `BACKEND_CLOSED`, `ABORTED` */
  connected(signal?: AbortSignal): Promise<void> {
    return this.session.connected(signal);
  }

  protected async start(): Promise<void> {
    this.session.state.subscribe(({ phase }) => {
      if (phase === 'connected') {
        // The next server may know other things, and have lost the buckets.
        this.api.forgetLevel();
        for (const bucket of this.buckets) bucket.forget();
      }
      this.showState();
    });
    await this.session.open();
    this.showState();
  }

  protected async stop(): Promise<void> {
    await this.session.close();
  }

  private showState(): void {
    const { phase, error } = this.session.state.current;
    if (phase === 'disconnected') this.health.failed(this.health.session, error);
    else if (phase === 'connected') this.health.ok(this.health.session);
  }
}
