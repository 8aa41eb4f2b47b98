import type { ServiceInstance } from '../model/index.js';

/** How a call to an instance ended, as far as balancing cares. */
export type Outcome =
  /** Answered; the instance is well, whatever the status says of the request. */
  | 'success'
  /** No connection, or one that broke. */
  | 'connection-failure'
  /** 502, 503 or 504: somebody in between, or the instance itself, says that it can't. */
  | 'gateway-failure'
  /** Any other 5xx. */
  | 'application-failure'
  /** The time for it was up. */
  | 'timeout'
  /** Another instance was asked too and answered first: this one would have taken even longer. */
  | 'overtaken'
  /** The caller lost interest: says nothing of the instance. */
  | 'cancelled';

/** Time constant of the moving averages, in milliseconds. */
const DECAY_MS = 10_000;

/**
 * An instance, and what this app has seen of it in all its calls, whoever made them. Kept across snapshots for as long as
 * the instance is in them, by its URL, so that a change of the list forgets nothing.
 */
export interface Endpoint {
  readonly instance: ServiceInstance;
  /** When it first was in the list, in milliseconds of the balancer's clock. */
  readonly addedAt: number;
  /** Calls that have not ended. */
  readonly pending: number;
  /** When a picker that notes it picked it last. */
  readonly pickedAt: number;
  /** Moving average of the response time in milliseconds; a slower answer counts at once, a faster one by and by. */
  readonly latencyMs: number;
  /** Moving average of the share of calls that did not fail. */
  readonly health: number;
}

/** An {@link Endpoint} as its balancer keeps it. */
export class TrackedEndpoint implements Endpoint {
  pending = 0;
  pickedAt = 0;
  latencyMs = 0;
  health = 1;
  private measuredAt = 0;

  constructor(
    public instance: ServiceInstance,
    readonly addedAt: number,
  ) {}

  /** Takes an outcome into the averages. */
  measure(now: number, latencyMs: number, failed: boolean): void {
    // Even without a pause between calls an outcome counts for a tenth: one hiccup is outweighed by dozens of good ones.
    const kept = this.measuredAt === 0 ? 0 : Math.min(Math.exp(-(now - this.measuredAt) / DECAY_MS), 0.9);
    this.measuredAt = now;
    // Peak-sensitive: who has become slow is believed at once, who has become fast must prove it.
    this.latencyMs = latencyMs > this.latencyMs ? latencyMs : this.latencyMs * kept + latencyMs * (1 - kept);
    this.health = this.health * kept + (failed ? 0 : 1 - kept);
  }
}
