import type { View } from './view.js';
import type { ServiceInstance, Snapshot } from '../model/index.js';

/**
 * What a wing may add to outgoing calls: addresses of its own, as `http://<value>.<key>.asab/path`.
 */
export interface AddressResolver {
  /** True for a host that this resolver, and nobody else, understands. Called for every call: cheap and pure. */
  handles(host: string): boolean;
  /**
   * The watched instances behind a host that it handles.
   * @throws DiscoveryError `INVALID_NAME` for a malformed host, saying what a right one looks like
   */
  resolve(host: string): View<Snapshot>;
}

/** What a wing may add to outgoing calls: who is calling. */
export interface CallAuthorizer {
  /** Headers to add to a call to `instance`; headers that the caller has set win. */
  headers(instance: ServiceInstance): Promise<Readonly<Record<string, string>>>;
}
