/**
 * Bounds what retries add to the load of a service that is in trouble: a share of the calls, and a few a second for
 * services that are called seldom.
 *
 * @see Finagle's RetryBudget, whose defaults these are
 */
export class RetryBudget {
  private tokens: number;
  private refilledAt: number;

  /**
   * @param share of the calls that may be retried
   * @param perSecond retries that are always allowed
   * @param now milliseconds of any origin
   */
  constructor(
    private readonly share: number,
    private readonly perSecond: number,
    private readonly now: () => number,
  ) {
    this.tokens = perSecond;
    this.refilledAt = now();
  }

  /** A call was made that is no retry. */
  deposit(): void {
    this.tokens = Math.min(this.tokens + this.share, this.limit);
  }

  /** Whether a retry may be made; takes it from the budget. */
  withdraw(): boolean {
    const now = this.now();
    this.tokens = Math.min(this.tokens + ((now - this.refilledAt) / 1000) * this.perSecond, this.limit);
    this.refilledAt = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }

  /** What may be saved up: ten seconds' worth. */
  private get limit(): number {
    return Math.max(this.perSecond, 1) * 10;
  }
}
