import type { DiscoveryError, ServiceInstance } from '../../model/index.js';

/** What a driver says of a service: all its instances whatever their status, or that it could not ask. */
export type DiscoveryReport =
  | { readonly instances: readonly ServiceInstance[]; readonly error?: undefined }
  | { readonly error: DiscoveryError; readonly instances?: undefined };

/** What a driver says of the services that there are: the names of all, or that it could not ask. */
export type ServicesReport =
  | { readonly services: readonly string[]; readonly error?: undefined }
  | { readonly error: DiscoveryError; readonly services?: undefined };

/** Something being watched. */
export interface Watch {
  /**
   * Asks the registry anew. Resolves when the answer was reported; rejects when it could not be had (which was
   * reported too).
   */
  refresh(): Promise<void>;
  /**
   * When the registry is read again if nothing happens before, in milliseconds since the epoch; undefined where it tells by
   * itself, and where that isn't known.
   */
  readonly readAgainAt?: number | undefined;
  /** Ends it. No report comes after this resolved. Never rejects; may be called again. */
  close(): Promise<void>;
}

/** The read side of a backend. */
export interface DiscoveryDriver {
  /**
   * True when "there are none" is never said by mistake: by a registry that lost its data, a partition, or a token that
   * may not read. Empty lists are then believed at once, whatever the app's empty protection. @default false
   */
  readonly emptyIsCertain?: boolean;
  /**
   * How long an empty list that follows one that wasn't is doubted, in milliseconds: within it every living instance of this
   * product has renewed its registration and was read. A registry that lost its memory is empty until they have.
   * @default 5000
   */
  readonly emptyHoldMs?: number;
  /**
   * Names of all services that the registry has at present.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` when it can't be asked; `UNSUPPORTED` when the product has no such list
   */
  listServices(signal?: AbortSignal): Promise<readonly string[]>;
  /**
   * Keeps reporting the instances of `service`: the first complete list or failure as soon as there is one, then every
   * change. `report` is never called synchronously, never concurrently, never after `close()` resolved, and may throw
   * without consequences. "There are none" is an empty list; "I could not ask" is an error; after an error the list is
   * reported again once the registry answers, changed or not.
   */
  watch(service: string, report: (report: DiscoveryReport) => void): Watch;
  /**
   * Keeps reporting the names of all services, sorted, as {@link watch} does the instances of one. Absent when the product
   * has no such list.
   */
  watchServices?(report: (report: ServicesReport) => void): Watch;
}
