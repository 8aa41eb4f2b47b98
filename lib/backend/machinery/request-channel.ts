import { channel } from 'node:diagnostics_channel';

/** What is told of a request to a registry, when it has ended. */
export interface RequestMessage {
  /** Who has made it: `the Consul client`. */
  readonly client: string;
  readonly method: string;
  /** What it was, for people; without secrets. */
  readonly what: string;
  /** What was answered. @default none: it failed */
  readonly status?: number;
  /** From when it was made to when its answer was complete, in milliseconds. */
  readonly tookMs: number;
  /** What it failed by. @default none */
  readonly error?: unknown;
}

/**
 * The `diagnostics_channel` that carries a {@link RequestMessage} of every request over HTTP that a backend of the process makes. As
 * long as nobody listens a request costs nothing more.
 */
export const requestChannel = channel('nestjs-service-discovery:requests');
