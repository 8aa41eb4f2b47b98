import type { Outcome } from '../../../balancing/index.js';

/** gRPC's own numbers. */
export const OK = 0;
export const CANCELLED = 1;
export const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
export const RESOURCE_EXHAUSTED = 8;
export const UNIMPLEMENTED = 12;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;
export const DATA_LOSS = 15;

/**
 * What a status says of the instance, as HTTP's would: no connection, a broken one and an instance that says that it can't are
 * UNAVAILABLE, all of them; what Nest makes of an exception is UNKNOWN, and INTERNAL what others make of it.
 */
export function outcomeOfStatusCode(code: number): Outcome {
  switch (code) {
    case CANCELLED:
      return 'cancelled';
    case DEADLINE_EXCEEDED:
      return 'timeout';
    case UNAVAILABLE:
      return 'connection-failure';
    case UNKNOWN:
    case UNIMPLEMENTED:
    case INTERNAL:
    case DATA_LOSS:
      return 'application-failure';
    default:
      return 'success';
  }
}
