import type { View } from './view.js';
import type { ServiceInstance, Snapshot } from '../../model/index.js';

/**
 * What a wing may add to outgoing calls: addresses of its own, as `http://<value>.<key>.asab/path`.
 */
export interface AddressResolver {
  /** True for a host that this resolver, and nobody else, understands. Called for every call: cheap and pure. */
  handles(host: string): boolean;
  /**
   * The watched instances behind a host that it handles.
   * @param scheme the one that the caller's address has; what is resolved may have another
   * @throws DiscoveryError `INVALID_NAME` for a malformed host, saying what a right one looks like
   */
  resolve(host: string, scheme?: string): View<Snapshot>;
  /** The error for a host behind which nothing can be called. @default NoInstanceError */
  notFound?(host: string): Error;
}

/** What a wing may add to outgoing calls: who is calling. */
export interface CallAuthorizer {
  /** Headers to add to a call to `instance`; headers that the caller has set win. */
  headers(instance: ServiceInstance): Promise<Readonly<Record<string, string>>>;
}
