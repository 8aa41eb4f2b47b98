import type { DiscoveryError } from './errors.js';
import type { InstanceStatus } from './service-instance.js';
import type { InstancesDiff, Snapshot } from './snapshot.js';

/** How a backend is doing. */
export interface BackendState {
  readonly phase: 'connecting' | 'ready' | 'degraded' | 'closed';
  /** Why it is degraded, or why it isn't ready yet. */
  readonly error?: DiscoveryError;
}

/** Everything that happens inside, as plain data: for logs, metrics and `diagnostics_channel`. */
export type DiscoveryEvent =
  | { readonly type: 'backend.state'; readonly backend: string; readonly state: BackendState }
  | {
      /** `absent`: there was nothing to remove, as nothing of it had arrived or the registry didn't have it any more. */
      readonly type: 'registration.registered' | 'registration.removed' | 'registration.absent';
      readonly backend: string;
      readonly service: string;
      readonly instanceId: string;
      readonly status: InstanceStatus;
    }
  | {
      /** The record could not be removed, and ends with its lease. */
      readonly type: 'registration.left';
      readonly backend: string;
      readonly service: string;
      readonly instanceId: string;
      readonly status: InstanceStatus;
      /** Why. */
      readonly error?: DiscoveryError;
    }
  | {
      readonly type: 'registration.failed';
      readonly backend: string;
      readonly service: string;
      readonly instanceId: string;
      readonly error: DiscoveryError;
    }
  | {
      readonly type: 'instances.changed';
      readonly service: string;
      readonly snapshot: Snapshot;
      readonly diff: InstancesDiff;
    }
  | {
      readonly type: 'instances.failed';
      readonly service: string;
      readonly backend: string;
      readonly error: DiscoveryError;
    }
  | {
      /** The backend answers again, after it has failed for this service. */
      readonly type: 'instances.recovered';
      readonly service: string;
      readonly backend: string;
    }
  | {
      /** This app sends an instance no calls for a while: they failed, or it asked for that (`Retry-After`). */
      readonly type: 'instance.ejected';
      readonly service: string;
      readonly instanceId: string;
      /** `http://10.0.0.5:8080` */
      readonly url: string;
      /** How long, in milliseconds. */
      readonly forMs: number;
    }
  | {
      /** A call to it has succeeded again: it takes its share. */
      readonly type: 'instance.returned';
      readonly service: string;
      readonly instanceId: string;
      readonly url: string;
    }
  | {
      /** A registry's record that could not be an instance; it was left out. */
      readonly type: 'record.skipped';
      readonly backend: string;
      readonly record: string;
      readonly error: DiscoveryError;
    }
  | {
      /** The app's own health became good or bad. */
      readonly type: 'health.changed';
      readonly healthy: boolean;
      readonly failing: readonly { readonly check: string; readonly reason: string }[];
    }
  | {
      /** Whether the app may take traffic, and if not, why. */
      readonly type: 'readiness.changed';
      readonly ready: boolean;
      readonly reasons: readonly string[];
      /** It is shutting down. */
      readonly stopping: boolean;
    }
  | {
      readonly type: 'config.changed';
      readonly keys: readonly string[];
      /** Whose documents have changed; absent when it isn't known. */
      readonly backends?: readonly string[];
    }
  | {
      /** Something that can't come into force: a document, or, without `document`, the whole as it would have become. */
      readonly type: 'config.rejected';
      readonly backend?: string;
      /** The document that can't be read. */
      readonly document?: string;
      /** The revision of it that stays in force; absent when there was none before. */
      readonly kept?: string;
      readonly error: DiscoveryError;
    }
  | {
      /** A backend of configuration can't be asked; its values stay in force. */
      readonly type: 'config.failed';
      readonly backend: string;
      readonly error: DiscoveryError;
    }
  | {
      /** It answers again. */
      readonly type: 'config.recovered';
      readonly backend: string;
    }
  | {
      /** The app starts with what was kept on disk, since the backend can't be asked. */
      readonly type: 'config.restored';
      readonly backend: string;
      /** When that was kept, in milliseconds since the epoch. */
      readonly savedAt: number;
    }
  | { readonly type: 'listener.failed'; readonly where: string; readonly error: unknown };

/** The names of {@link DiscoveryEvent}. */
export type DiscoveryEventType = DiscoveryEvent['type'];
