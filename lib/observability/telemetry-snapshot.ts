import type { BackendState, DiscoveryError, ServiceInstance, SnapshotState } from '../model/index.js';
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

/** An instance of a watched service, with what this app has seen of it in all its calls, whoever made them. */
export interface InstanceTelemetry {
  readonly instance: ServiceInstance;
  /** Whether calls go to it; `ejected`: it is left out for its failures; `down`: it isn't UP, or takes no traffic. */
  readonly state: 'routable' | 'ejected' | 'down';
  /** How much longer it is left out, in milliseconds; 0 when it isn't. */
  readonly ejectedForMs: number;
  /** It was left out, and gets one call at a time until one has succeeded. */
  readonly onProbation: boolean;
  /** Calls under way. */
  readonly pending: number;
  /** Calls that have ended and said something of it, since it is in the list. */
  readonly calls: number;
  /** Those of them that failed. */
  readonly failures: number;
  /** Moving average of the response time, in milliseconds; 0 before the first call. */
  readonly latencyMs: number;
  /** Moving average of the share of calls that did not fail, from 0 to 1. */
  readonly health: number;
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

/**
 * Whether the calls of a route reach its service: `closed`: every instance that is UP gets them; `half-open`: some are left out
 * for their failures, or on probation; `open`: none is left; `unknown`: the service isn't watched yet.
 */
export type RouteCircuit = 'closed' | 'half-open' | 'open' | 'unknown';

/** A route of the app's gateway. */
export interface RouteTelemetry {
  readonly route: string;
  readonly service: string;
  readonly circuit: RouteCircuit;
  /** Requests that were passed on since the app started. */
  readonly requests: number;
  /** Those of them that were answered with 5xx or not to their end. */
  readonly failed: number;
  /** How long they took on the average, in milliseconds; 0 before the first. */
  readonly averageMs: number;
}

/** The state of everything, at one moment. */
export interface TelemetrySnapshot {
  /** The moment, in milliseconds since the epoch. */
  readonly at: number;
  readonly backends: readonly BackendTelemetry[];
  readonly services: readonly ServiceTelemetry[];
  readonly registrations: readonly RegistrationTelemetry[];
  readonly configuration: ConfigurationTelemetry;
  /** Those of the gateway, in their order. @default none */
  readonly routes: readonly RouteTelemetry[];
}
