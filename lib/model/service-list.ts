import type { DiscoveryError } from './errors.js';
import type { SnapshotState } from './snapshot.js';

/** The names of the services that there are, as of one moment. Immutable. */
export interface ServiceList {
  /** Sorted, each once; those that were last known while the registry can't be asked. */
  readonly services: readonly string[];
  /** `unknown` before a registry has answered, `stale` while none that did can be asked. */
  readonly state: SnapshotState;
  /** When a registry last confirmed it, in milliseconds since the epoch. */
  readonly asOf?: number;
  /** Why it is stale or unknown. */
  readonly error?: DiscoveryError;
  /** The backends that could not be asked. */
  readonly partial?: readonly string[];
}
