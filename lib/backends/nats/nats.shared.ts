import type { BackendContext } from '../../backend/index.js';
import type { DiscoveryError } from '../../model/index.js';
import type { ServiceQueries } from './client/service-queries.js';
import type { NatsSession } from './connection/session.js';
import type { KeyValueBucket } from './jetstream/key-value.js';
import type { NatsSettings } from './nats.options.js';

/** What the drivers have of their backend. */
export interface NatsShared {
  readonly context: BackendContext;
  readonly settings: NatsSettings;
  readonly session: NatsSession;
  /** Undefined with `presence.mode: 'services'`. */
  readonly presence: KeyValueBucket | undefined;
  readonly config: KeyValueBucket;
  readonly queries: ServiceQueries;
  readonly assertOpen: () => void;
  /** Takes what must be ended with the backend; gives the way to take it back. */
  readonly adopt: (close: () => Promise<unknown>) => () => void;
  /** Told how a lease or a watch is doing; `key` tells them apart. */
  readonly onHealth: (key: object, error: DiscoveryError | undefined) => void;
}
