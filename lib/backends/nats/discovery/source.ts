import type { DiscoveryError, ServiceInstance } from '../../../model/index.js';

/** One of the ways in which instances are found. */
export interface InstanceSource {
  /** What it knows: undefined until it has asked; an error while it can't. */
  readonly current:
    | { readonly instances: readonly ServiceInstance[]; readonly error?: undefined }
    | { readonly error: DiscoveryError; readonly instances?: undefined }
    | undefined;
  /** Asks anew; resolves when `current` says what came of it, and rejects when it could not be asked. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}
