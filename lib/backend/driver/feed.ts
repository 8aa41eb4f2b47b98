import type { DiscoveryError } from '../../model/index.js';
import type { Clock } from '../port/clock.js';
import type { Watch } from '../port/discovery-driver.js';

/** Where a feed lives: a backend, or a client that is used alone. */
export interface FeedHome {
  readonly clock: Clock;
  /** A number from 0 (inclusive) to 1 (exclusive). */
  random(): number;
  /** Name of the backend, for errors. */
  readonly backend: string;
  /** Told how every reading and every push ended. */
  onOutcome?(error: DiscoveryError | undefined): void;
  /** Told that a long poll was cut, by what, though the reading that followed ended well. */
  onCut?(error: DiscoveryError): void;
  /** Told of what a receiver threw. */
  onListenerError(error: unknown): void;
  /** Told when it has ended and released everything. */
  onClosed?(): void;
}

/**
 * A source being watched, with the promises that every `watch` makes: never synchronously, never two reports at a time,
 * never after `close()` resolved; nothing twice; an error when it could not be had, and the value again when it can be
 * had again, changed or not; and {@link Watch.refresh} resolves when its answer was reported.
 */
export interface Feed extends Watch {
  /** Something else found the server silent: a reading that waits there asks at once instead. */
  recheck(): void;
  /** The server answers again: what failed is tried at once. */
  retry(): void;
}
