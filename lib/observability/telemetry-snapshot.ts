import type { BackendState, DiscoveryError, SnapshotState } from '../model/index.js';
import type { LeaseState } from '../backend/index.js';

/** A backend of the app. */
export interface BackendTelemetry {
  readonly name: string;
  readonly phase: BackendState['phase'];
  /** When it came into this phase, in milliseconds since the epoch. */
  readonly since: number;
  /** Why it is degraded, or not ready yet. @default none */
  readonly error?: DiscoveryError;
}

/** A service that the app watches at present. */
export interface ServiceTelemetry {
  readonly service: string;
  readonly state: SnapshotState;
  /** Since when it is in this state, in milliseconds since the epoch. */
  readonly since: number;
  /** Instances that calls go to. */
  readonly routable: number;
  /** Instances that are left out for their failures. */
  readonly ejected: number;
  /** Instances that aren't UP, or take no traffic. */
  readonly down: number;
  /** Backends that could not be asked. */
  readonly partial: readonly string[];
  /** Why it isn't fresh. @default none */
  readonly error?: DiscoveryError;
}

/** What the app has registered, in one registry. */
export interface RegistrationTelemetry {
  readonly backend: string;
  readonly service: string;
  readonly instanceId: string;
  readonly phase: LeaseState['phase'];
  /**
   * When the registry last confirmed it, in milliseconds since the epoch: by a heartbeat, or now, where a connection that
   * stands keeps it alive. @default never
   */
  readonly confirmedAt?: number;
  /** What the last try failed with. @default none */
  readonly error?: DiscoveryError;
}

/** The app's configuration. */
export interface ConfigurationTelemetry {
  /** The backends that it comes from. */
  readonly backends: readonly string[];
  /** When the values that are in force came into force, in milliseconds since the epoch. */
  readonly since: number;
  /** What keeps the newest configuration from being in force, and since when. */
  readonly problems: readonly { readonly since: number; readonly error: DiscoveryError }[];
}

/** The state of everything, at one moment. */
export interface TelemetrySnapshot {
  /** The moment, in milliseconds since the epoch. */
  readonly at: number;
  readonly backends: readonly BackendTelemetry[];
  readonly services: readonly ServiceTelemetry[];
  readonly registrations: readonly RegistrationTelemetry[];
  readonly configuration: ConfigurationTelemetry;
}
