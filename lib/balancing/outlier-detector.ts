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
  /** Count 5xx answers other than 502, 503 and 504 too. @default false */
  readonly applicationErrors?: boolean;
}

const REVIEW_MS = 10_000;
const MIN_ENDPOINTS = 5;
const MIN_CALLS = 100;
const DEVIATIONS = 1.9;

/**
 * Decides from the outcomes of calls which endpoints are left out, for how long, and when they are back: on probation,
 * with one call at a time until one has succeeded.
 *
 * @see gRPC proposal A50 and Envoy's outlier detection, whose rules and numbers these are
 */
export class OutlierDetector {
  private readonly options: Required<EjectionOptions>;
  private reviewedAt: number;

  /** @param onChange told when an endpoint was ejected, so that the picker is built anew */
  constructor(
    options: EjectionOptions,
    now: number,
    private readonly onChange: (endpoint: Endpoint) => void,
  ) {
    this.options = {
      consecutiveFailures: options.consecutiveFailures ?? 5,
      baseMs: options.baseMs ?? 30_000,
      maxMs: options.maxMs ?? 300_000,
      maxShare: options.maxShare ?? 0.1,
      panicThreshold: options.panicThreshold ?? 0.5,
      successRate: options.successRate ?? true,
      applicationErrors: options.applicationErrors ?? false,
    };
    this.reviewedAt = now;
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

  /** Takes an outcome into account. */
  settle(endpoint: Endpoint, failed: boolean, all: readonly Endpoint[], now: number): void {
    endpoint.calls += 1;
    if (failed) {
      endpoint.failures += 1;
      endpoint.failuresInRow += 1;
      // On probation the first failure is enough.
      if (endpoint.onProbation || endpoint.failuresInRow >= this.options.consecutiveFailures)
        this.eject(endpoint, all, now);
    } else {
      endpoint.failuresInRow = 0;
      endpoint.onProbation = false;
    }
    if (now - this.reviewedAt >= REVIEW_MS) this.review(all, now);
  }

  /**
   * The endpoints that may be picked at `now`: those whose time is over come back on probation. All of them when too many
   * are out, or none is left.
   */
  usable(all: readonly Endpoint[], now: number): readonly Endpoint[] {
    for (const endpoint of all) {
      if (endpoint.ejectedUntil === 0 || endpoint.ejectedUntil > now) continue;
      endpoint.ejectedUntil = 0;
      endpoint.failuresInRow = 0;
      endpoint.onProbation = true;
    }
    const inside = all.filter(({ ejectedUntil }) => ejectedUntil === 0);
    const out = all.length - inside.length;
    return inside.length === 0 || out > all.length * this.options.panicThreshold ? all : inside;
  }

  private eject(endpoint: Endpoint, all: readonly Endpoint[], now: number): void {
    if (endpoint.ejectedUntil > now) return;
    const out = all.reduce((count, { ejectedUntil }) => (ejectedUntil > now ? count + 1 : count), 0);
    if (out >= Math.max(1, Math.floor(all.length * this.options.maxShare))) return;
    endpoint.ejections += 1;
    endpoint.onProbation = false;
    endpoint.ejectedUntil = now + Math.min(this.options.baseMs * endpoint.ejections, this.options.maxMs);
    this.onChange(endpoint);
  }

  private review(all: readonly Endpoint[], now: number): void {
    this.reviewedAt = now;
    if (this.options.successRate) this.ejectBySuccessRate(all, now);
    for (const endpoint of all) {
      // Who was in rotation all the time is forgiven one of its ejections.
      if (endpoint.ejectedUntil === 0 && endpoint.ejections > 0) endpoint.ejections -= 1;
      endpoint.calls = 0;
      endpoint.failures = 0;
    }
  }

  private ejectBySuccessRate(all: readonly Endpoint[], now: number): void {
    const judged = all.filter(({ calls, ejectedUntil }) => calls >= MIN_CALLS && ejectedUntil === 0);
    if (judged.length < MIN_ENDPOINTS) return;
    const rates = judged.map(({ calls, failures }) => (calls - failures) / calls);
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
    const limit = mean - DEVIATIONS * Math.sqrt(variance);
    judged.forEach((endpoint, index) => {
      if ((rates[index] ?? 1) < limit) this.eject(endpoint, all, now);
    });
  }
}
