import type { BackendState, DiscoveryEvent, ServiceInstance } from '../../model/index.js';
import type { Clock } from './clock.js';
import type { ConfigDriver } from './config-driver.js';
import type { DiscoveryDriver } from './discovery-driver.js';
import type { AddressResolver, CallAuthorizer } from './extension-points.js';
import type { Logger } from './logger.js';
import type { RegistryDriver } from './registry-driver.js';
import type { View } from './view.js';

/** What an app lends to each of its backends. */
export interface BackendContext {
  /** Unique for each app, also for two in one process. */
  readonly appId: string;
  /** Who the app is, whether it registers or not. */
  readonly application: {
    readonly name: string;
    readonly profiles: readonly string[];
    readonly zone?: string;
  };
  readonly logger: Logger;
  readonly clock: Clock;
  /** A number from 0 (inclusive) to 1 (exclusive). */
  random(): number;
  /**
   * The instances of a service that may be called, as the app's registries know them: for a product whose own servers are found
   * there. The first question about a service waits for an answer. Absent where nothing is discovered.
   * @throws DiscoveryError `NO_SNAPSHOT` when no registry answered in time
   */
  readonly instances?: (service: string) => Promise<readonly ServiceInstance[]>;
  /** Tells the app's event stream. Never throws. */
  report(event: DiscoveryEvent): void;
}

/**
 * What `consul({ ... })` returns: options that were checked, and nothing that runs. The same definition may be given to
 * several apps, and to both `registry` and `config` of one, which then share one backend.
 */
export interface BackendDefinition {
  /** The product: `consul`, `eureka` … */
  readonly kind: string;
  /** Unique within an app. @default the kind */
  readonly name: string;
  /**
   * How long after an instance was taken out some caller may still have it, in milliseconds, with the product's own
   * defaults and callers that aren't ours: so long an app that stops serves on. @default 3000
   */
  readonly propagationMs?: number;
  /**
   * The hosts of its servers, as they are configured; none for what works on one machine only. With it an app that could
   * be called from its own machine only isn't told to others. @default unknown
   */
  readonly hosts?: readonly string[];
  /** Makes this app's backend. Nothing starts before `open()`. */
  create(context: BackendContext): Backend;
}

/**
 * One registry product, as one app uses it.
 *
 * `open()` loads what the backend needs (an optional npm package by a literal `import()`) and begins to connect. It does
 * not wait for a server: that is what `state` tells. It rejects only when the backend can never work, as with a missing
 * package. After `close()` resolved there is no timer, no socket and no report left; what is registered by then has been
 * revoked by its lease or is left to expire. Both may be called again and then do nothing.
 *
 * What the product lacks is absent here, and asking for it is an error when the app starts.
 */
export interface Backend {
  readonly name: string;
  readonly state: View<BackendState>;
  readonly registry?: RegistryDriver;
  readonly discovery?: DiscoveryDriver;
  readonly config?: ConfigDriver;
  readonly addressResolver?: AddressResolver;
  readonly callAuthorizer?: CallAuthorizer;
  open(): Promise<void>;
  close(): Promise<void>;
}
