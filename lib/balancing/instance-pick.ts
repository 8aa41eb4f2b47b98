import type { ServiceInstance } from '../model/index.js';
import type { CallUnderWay, Endpoint, Outcome, TrackedEndpoint } from './endpoint.js';
import { outcomeOfError } from './outcome.js';

/** Where picks are kept account of. */
export interface PickLedger {
  /** Milliseconds, of any origin. */
  now(): number;
  /** Takes the newest list, if there is a newer one. */
  refresh(): void;
  /** A call to the endpoint begins. */
  begin(endpoint: TrackedEndpoint, call: CallUnderWay): void;
  /** The answer to the call has begun, which goes on. */
  answer(endpoint: TrackedEndpoint, call: CallUnderWay, outcome: Outcome): void;
  /** The call has ended. */
  end(endpoint: TrackedEndpoint, call: CallUnderWay, outcome: Outcome): void;
}

/**
 * One instance, picked for one call, which counts as under way until it is told how it ended: exactly one of
 * {@link succeeded}, {@link failed} and {@link cancelled} must be called. What comes after the first is ignored.
 */
export class InstancePick {
  /** The instance to call. */
  readonly instance: ServiceInstance;
  /** @internal By the ledger's clock. */
  readonly startedAt: number;
  /** @internal */
  isAnswered = false;
  /** @internal */
  rowBefore = 0;
  /** @internal */
  wholeBefore = 0;
  /** @internal Told once how the call ended: by an error, if it failed. */
  onEnd: ((outcome: Outcome, failure: { readonly error: unknown } | undefined) => void) | undefined;
  private isOver = false;

  /** @internal */
  constructor(
    private readonly ledger: PickLedger,
    private readonly tracked: TrackedEndpoint,
  ) {
    this.instance = tracked.instance;
    this.startedAt = ledger.now();
    ledger.begin(tracked, this);
  }

  /** @internal What this app has seen of the instance. */
  get endpoint(): Endpoint {
    return this.tracked;
  }

  /** The instance has answered, and is well. */
  succeeded(): void {
    this.end('success');
  }

  /**
   * The call has failed. What that says of the instance is read from the error, as for HTTP calls: a connection that
   * wasn't made or broke, a time-out and an answer of 502, 503 or 504 speak against it; an error that none of these shows
   * in (the caller gave up, an answer that he can't read) does not.
   */
  failed(error: unknown): void {
    this.end(outcomeOfError(error), this.onEnd && { error });
  }

  /** The call wasn't made, or nobody waits for it any more: says nothing of the instance. */
  cancelled(): void {
    this.end('cancelled');
  }

  /**
   * @internal The answer has begun, and says this of the instance. The call counts as under way until it ends, but not as
   * overdue: a stream may go on for hours.
   */
  answered(outcome: Outcome): void {
    if (this.isOver || this.isAnswered) return;
    this.ledger.answer(this.tracked, this, outcome);
    this.isAnswered = true;
  }

  /** @internal The call has ended so, for those who know. */
  end(outcome: Outcome, failure?: { readonly error: unknown }): void {
    if (this.isOver) return;
    this.isOver = true;
    this.ledger.end(this.tracked, this, outcome);
    this.onEnd?.(outcome, failure);
  }
}
