import type { Endpoint, Outcome } from './endpoint.js';

/** When an instance that fails is left out for a while. */
export interface EjectionOptions {
  /** Failures in a row. @default 5 */
  readonly consecutiveFailures?: number;
  /** How long the first time, in milliseconds; `n` times as long the `n`th time. @default 30000 */
  readonly baseMs?: number;
  /** At most, in milliseconds. @default 300000 */
  readonly maxMs?: number;
  /** Share of the instances that may be out at once; one may always. @default 0.1 */
  readonly maxShare?: number;
  /** When more than this share is out, all are used: then it is not they who are at fault. @default 0.5 */
  readonly panicThreshold?: number;
  /**
   * Also eject instances whose share of successes is far below that of the others: reviewed every 10 s, among at least 5
   * instances that each had at least 100 calls, below the mean by 1.9 standard deviations. @default true
   */
  readonly successRate?: boolean;
  /**
   * An instance whose calls are not answered for this long, in milliseconds, or four times its usual response time if that is
   * more, and which answers nothing meanwhile, is passed over until it does. @default 500
   */
  readonly overdueMs?: number;
  /** Count 5xx answers other than 502, 503 and 504 too. @default false */
  readonly applicationErrors?: boolean;
}

const REVIEW_MS = 10_000;
const MIN_ENDPOINTS = 5;
const MIN_CALLS = 100;
const DEVIATIONS = 1.9;

/** What a detector holds of an endpoint. */
class Standing {
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
}

/** An instance can't be away for longer than this by its own word, in milliseconds. */
const MAX_PUSH_BACK_MS = 300_000;

/**
 * Decides from the outcomes of calls which endpoints are left out, for how long, and when they are back: on probation,
 * with one call at a time until one has succeeded.
 *
 * @see gRPC proposal A50 and Envoy's outlier detection, whose rules and numbers these are
 */
export class OutlierDetector {
  private readonly options: Required<EjectionOptions>;
  private standings = new Map<Endpoint, Standing>();
  private reviewedAt: number;

  /** @param onChange told when an endpoint was left out, so that the pickers are built anew */
  constructor(
    options: EjectionOptions,
    now: number,
    private readonly onChange: (now: number) => void,
  ) {
    this.options = {
      consecutiveFailures: options.consecutiveFailures ?? 5,
      baseMs: options.baseMs ?? 30_000,
      maxMs: options.maxMs ?? 300_000,
      maxShare: options.maxShare ?? 0.1,
      panicThreshold: options.panicThreshold ?? 0.5,
      successRate: options.successRate ?? true,
      overdueMs: options.overdueMs ?? 500,
      applicationErrors: options.applicationErrors ?? false,
    };
    this.reviewedAt = now;
  }

  /** Takes a new list; of those that were in the last one nothing is forgotten. */
  update(endpoints: readonly Endpoint[]): void {
    this.standings = new Map(endpoints.map((endpoint) => [endpoint, this.standingOf(endpoint)]));
  }

  /** Whether an outcome speaks against the instance. */
  isFailure(outcome: Outcome): boolean {
    switch (outcome) {
      case 'connection-failure':
      case 'gateway-failure':
      case 'timeout':
        return true;
      case 'application-failure':
        return this.options.applicationErrors;
      case 'success':
      case 'overtaken':
      case 'cancelled':
        return false;
    }
  }

  /** Takes an outcome into account. @param rowBefore the row that a failure goes on with, if that is longer */
  settle(endpoint: Endpoint, failed: boolean, now: number, rowBefore = 0): void {
    const standing = this.standingOf(endpoint);
    standing.calls += 1;
    if (failed) {
      standing.failures += 1;
      standing.failuresInRow = Math.max(standing.failuresInRow, rowBefore) + 1;
      // On probation the first failure is enough.
      if (standing.onProbation || standing.failuresInRow >= this.options.consecutiveFailures) this.eject(standing, now);
    } else {
      standing.failuresInRow = 0;
      standing.onProbation = false;
    }
    if (now - this.reviewedAt >= REVIEW_MS) this.review(now);
  }

  /** The instance asks to be left alone for a while: it is left out, unless nobody else is there. */
  pushBack(endpoint: Endpoint, forMs: number, now: number): void {
    const standing = this.standingOf(endpoint);
    standing.ejectedUntil = Math.max(standing.ejectedUntil, now + Math.min(forMs, MAX_PUSH_BACK_MS));
    this.onChange(now);
  }

  /**
   * Those of `endpoints` that may be picked at `now`: whose time is over comes back on probation. All of them when too
   * many are out, or none is left.
   */
  usable<E extends Endpoint>(endpoints: readonly E[], now: number): readonly E[] {
    for (const endpoint of endpoints) {
      const standing = this.standingOf(endpoint);
      if (standing.ejectedUntil === 0 || standing.ejectedUntil > now) continue;
      standing.ejectedUntil = 0;
      standing.failuresInRow = 0;
      standing.onProbation = true;
    }
    const inside = endpoints.filter((endpoint) => !this.isEjected(endpoint));
    const out = endpoints.length - inside.length;
    return inside.length === 0 || out > endpoints.length * this.options.panicThreshold ? endpoints : inside;
  }

  /** When the first of those that are out comes back. */
  nextReturn(endpoints: readonly Endpoint[]): number {
    return endpoints.reduce(
      (soonest, one) => Math.min(soonest, this.standingOf(one).ejectedUntil || Infinity),
      Infinity,
    );
  }

  isEjected(endpoint: Endpoint): boolean {
    return this.standingOf(endpoint).ejectedUntil > 0;
  }

  /** Whether it is left out at `now`; {@link isEjected} goes on saying so until the next pick has it back. */
  isOut(endpoint: Endpoint, now: number): boolean {
    return this.standingOf(endpoint).ejectedUntil > now;
  }

  /** How much longer it is left out at `now`, in milliseconds; 0 when it isn't. */
  outForMs(endpoint: Endpoint, now: number): number {
    return Math.max(0, this.standingOf(endpoint).ejectedUntil - now);
  }

  /** How long an instance may answer nothing before it is passed over, in milliseconds. */
  get overdueMs(): number {
    return this.options.overdueMs;
  }

  /** How many failures in a row there were last; on probation one more is enough. */
  rowOf(endpoint: Endpoint): number {
    const { onProbation, failuresInRow } = this.standingOf(endpoint);
    return onProbation ? Infinity : failuresInRow;
  }

  isOnProbation(endpoint: Endpoint): boolean {
    return this.standingOf(endpoint).onProbation;
  }

  /** One that has left the list gets a standing that nobody keeps. */
  private standingOf(endpoint: Endpoint): Standing {
    return this.standings.get(endpoint) ?? new Standing();
  }

  private eject(standing: Standing, now: number): void {
    if (standing.ejectedUntil > now) return;
    let out = 0;
    for (const { ejectedUntil } of this.standings.values()) if (ejectedUntil > now) out += 1;
    if (out >= Math.max(1, Math.floor(this.standings.size * this.options.maxShare))) return;
    standing.ejections += 1;
    standing.onProbation = false;
    standing.ejectedUntil = now + Math.min(this.options.baseMs * standing.ejections, this.options.maxMs);
    this.onChange(now);
  }

  private review(now: number): void {
    this.reviewedAt = now;
    if (this.options.successRate) this.ejectBySuccessRate(now);
    for (const standing of this.standings.values()) {
      // Who was in rotation all the time is forgiven one of its ejections.
      if (standing.ejectedUntil === 0 && standing.ejections > 0) standing.ejections -= 1;
      standing.calls = 0;
      standing.failures = 0;
    }
  }

  private ejectBySuccessRate(now: number): void {
    const judged = [...this.standings.values()].filter((one) => one.calls >= MIN_CALLS && one.ejectedUntil === 0);
    if (judged.length < MIN_ENDPOINTS) return;
    const rates = judged.map(({ calls, failures }) => (calls - failures) / calls);
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
    const limit = mean - DEVIATIONS * Math.sqrt(variance);
    judged.forEach((standing, index) => {
      if ((rates[index] ?? 1) < limit) this.eject(standing, now);
    });
  }
}
