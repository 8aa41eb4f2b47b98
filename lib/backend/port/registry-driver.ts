import type { DiscoveryError, InstanceStatus, Registration, RegistrationPatch } from '../../model/index.js';
import type { View } from './view.js';

/** How far a registration has come. */
export interface LeaseState {
  /**
   * - `pending`: the registry doesn't have it yet, or not the newest version of it;
   * - `registered`: the registry has it;
   * - `retrying`: the last try failed, the next one comes by itself;
   * - `revoked`: it was taken back for good.
   */
  readonly phase: 'pending' | 'registered' | 'retrying' | 'revoked';
  /** What the last try failed with. */
  readonly error?: DiscoveryError;
}

/**
 * How a revocation ended: the registry confirmed it, or had surely never had anything; or it will forget the instance by
 * itself.
 */
export type RevokeResult = 'removed' | 'left-to-expire';

/**
 * A registration being kept true. A lease is desired state: the driver makes the registry agree (first registration,
 * heartbeats, registration again after the registry forgot or the connection was lost) until it is revoked. A revoked
 * lease never comes back, whatever was in flight.
 */
export interface Lease {
  /** What is wanted at present. */
  readonly registration: Registration;
  /** Resolves when the registry first had it; rejects (`LEASE_REVOKED`) when it was revoked before that. */
  readonly registered: Promise<void>;
  readonly state: View<LeaseState>;
  /**
   * When the registry last confirmed that it has it, in milliseconds since the epoch: by a heartbeat, or now, where a
   * connection that stands keeps it alive. @default never, or not known
   */
  readonly confirmedAt?: number | undefined;
  /**
   * Changes what is wanted; resolves when the registry has it.
   * @throws DiscoveryError `UNSUPPORTED` for what the driver doesn't declare, `LEASE_REVOKED` after a revocation
   */
  update(patch: RegistrationPatch): Promise<void>;
  /** `update({ status })`. */
  setStatus(status: InstanceStatus): Promise<void>;
  /**
   * Takes it back: at once for this side, and at the registry as soon as that answers. With a signal it tries until the
   * registry confirmed it or the signal aborts, without one it tries once; when nothing of it has surely ever arrived, there
   * is nothing to try. Never rejects; a second call gives the first one's promise.
   */
  revoke(signal?: AbortSignal): Promise<RevokeResult>;
}

/** How a driver can change something of an instance that is registered. */
export type ChangeSupport =
  /** The registry has an operation for it. */
  | 'native'
  /** By registering again, or by a convention in the metadata. */
  | 'emulated'
  | 'unsupported';

/** What an operator says of an instance: it takes no calls, or what it says itself counts again. */
export type OverrideStatus = 'UP' | 'OUT_OF_SERVICE';

/** Whose status is overridden. */
export interface OverrideTarget {
  readonly service: string;
  readonly instanceId: string;
  /** Where others read it, as Consul has it. @default none is given */
  readonly reason?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The write side of a backend. */
export interface RegistryDriver {
  readonly capabilities: {
    readonly status: ChangeSupport;
    readonly metadata: ChangeSupport;
  };
  /** Begins to keep `registration` true. Returns at once; errors show in the lease's state. */
  register(registration: Registration): Lease;
  /**
   * Takes an instance, whoever registered it, out of traffic by the registry's own means for operators, or ends that: it
   * stays so while the instance renews its registration. Resolves when the registry has it. Absent where the product has
   * no such means.
   *
   * @throws DiscoveryError `NO_INSTANCE` when the registry has no such instance, `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`
   */
  overrideStatus?(target: OverrideTarget, status: OverrideStatus): Promise<void>;
}
