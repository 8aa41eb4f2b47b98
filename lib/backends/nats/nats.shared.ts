import type { DriverHost } from '../../backend/index.js';
import type { ServiceQueries } from './client/service-queries.js';
import type { NatsSession } from './connection/session.js';
import type { KeyValueBucket } from './jetstream/key-value.js';
import type { NatsSettings } from './nats.options.js';

/** What the drivers share besides their backend. */
export interface NatsShared {
  readonly host: DriverHost;
  readonly settings: NatsSettings;
  readonly session: NatsSession;
  /** Undefined with `presence.mode: 'services'`. */
  readonly presence: KeyValueBucket | undefined;
  readonly config: KeyValueBucket;
  readonly queries: ServiceQueries;
}
