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

/** How many times its usual response time an instance may take before a call is overdue. */
const USUAL_TIMES = 4;

/** A call that has not ended. */
export interface CallUnderWay {
  /** By the balancer's clock. */
  readonly startedAt: number;
  /** Whether its answer has begun: what is still to come says nothing of how fast the instance is. */
  readonly isAnswered: boolean;
  /** When its answer began: the failures in a row until then, which this call goes on with if it breaks off … */
  rowBefore: number;
  /** … unless another answer has come to a good end meanwhile: how many had, then. */
  wholeBefore: number;
}

/** An {@link Endpoint} as its balancer keeps it. */
export class TrackedEndpoint implements Endpoint {
  pending = 0;
  pickedAt = 0;
  latencyMs = 0;
  health = 1;
  /** Calls whose end said something of it, and those of them that failed. */
  calls = 0;
  failures = 0;
  /** Answers that came to a good end. */
  whole = 0;
  private measuredAt = 0;
  /** Moving average of the response time of calls that were answered. */
  private usualMs = 0;
  /** When it last answered anything. */
  private answeredAt = -Infinity;
  /** When calls that have not ended began, in that order. */
  private readonly underWay = new Set<CallUnderWay>();
  private newestAt = -Infinity;

  constructor(
    public instance: ServiceInstance,
    readonly addedAt: number,
  ) {}

  /** A call begins: `call` stands for it until it ends. */
  began(call: CallUnderWay): void {
    this.pending += 1;
    this.underWay.add(call);
    this.newestAt = call.startedAt;
  }

  ended(call: CallUnderWay, now: number, answered: boolean): void {
    this.pending -= 1;
    if (answered && !call.isAnswered) this.answered(call, now);
    else this.underWay.delete(call);
  }

  /** The answer has begun, which may go on for long. */
  answered(call: CallUnderWay, now: number): void {
    this.underWay.delete(call);
    this.answeredAt = now;
    const took = now - call.startedAt;
    this.usualMs = this.usualMs === 0 ? took : this.usualMs * 0.9 + took * 0.1;
  }

  /**
   * Whether it seems to have stalled: calls are overdue, and it has answered none since. From time to time, after pauses that
   * grow with the time that it has been so, it doesn't, so that somebody sees when it is back.
   *
   * @param overdueMs how long a call may take at least; four times the usual response time if that is more
   */
  isStalled(now: number, overdueMs: number): boolean {
    if (this.pending < 2) return false;
    const [oldest] = this.underWay;
    if (oldest === undefined) return false;
    const limit = Math.max(overdueMs, USUAL_TIMES * this.usualMs);
    const age = now - oldest.startedAt;
    if (age < limit || now - this.answeredAt < limit) return false;
    return now - this.newestAt < age / 2;
  }

  /** Takes an outcome into the averages. */
  measure(now: number, latencyMs: number, failed: boolean): void {
    this.calls += 1;
    if (failed) this.failures += 1;
    // Even without a pause between calls an outcome counts for a tenth: one hiccup is outweighed by dozens of good ones.
    const kept = this.measuredAt === 0 ? 0 : Math.min(Math.exp(-(now - this.measuredAt) / DECAY_MS), 0.9);
    this.measuredAt = now;
    // Peak-sensitive: who has become slow is believed at once, who has become fast must prove it.
    this.latencyMs = latencyMs > this.latencyMs ? latencyMs : this.latencyMs * kept + latencyMs * (1 - kept);
    this.health = this.health * kept + (failed ? 0 : 1 - kept);
  }
}
