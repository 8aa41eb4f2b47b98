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
 * An instance, and what this app has seen of it. Kept across snapshots for as long as the instance is in them, by its
 * URL, so that a change of the list forgets nothing.
 */
export class Endpoint {
  /** Calls that have not ended. */
  pending = 0;
  /** When it was last picked, in milliseconds of the balancer's clock; for pickers that note it. */
  pickedAt = 0;
  /** Moving average of the response time in milliseconds; a slower answer counts at once, a faster one by and by. */
  latencyMs = 0;
  /** Moving average of the share of calls that did not fail. */
  health = 1;
  /** Calls that failed since the last one that didn't. */
  failuresInRow = 0;
  /** Calls and failures since the last review. */
  calls = 0;
  failures = 0;
  /** Out of rotation until then; 0 when it is in. */
  ejectedUntil = 0;
  /** How often it was ejected lately: each time is longer than the one before. */
  ejections = 0;
  /** Back on trial: one call at a time until one has succeeded. */
  onProbation = false;
  /** Where a picker keeps it; only for the picker that put it there. */
  slot = 0;
  private measuredAt = 0;

  constructor(
    public instance: ServiceInstance,
    /** When it first was in the list. */
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
