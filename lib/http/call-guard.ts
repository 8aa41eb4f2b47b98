import type { Bulkhead } from './bulkhead.js';
import type { ResolvedCallOptions } from './call-options.js';

/** Whether calls with these options are bounded, or run by somebody. */
export function isGuarded({ bulkhead, policy }: Pick<ResolvedCallOptions, 'bulkhead' | 'policy'>): boolean {
  return bulkhead !== undefined || policy !== undefined;
}

/** What stands around each whole call to a service, its retries included: the bulkhead, and within it the policy. */
export class CallGuard {
  constructor(
    readonly options: ResolvedCallOptions,
    private readonly bulkhead: Bulkhead | undefined,
  ) {}

  /** Whether a call is neither bounded nor run by somebody. */
  get isFree(): boolean {
    return !isGuarded(this.options);
  }

  /** Runs a whole call, when it may: within the bulkhead, which refuses without the policy's knowing. */
  async run<T>(call: (signal: AbortSignal | undefined) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { policy } = this.options;
    return this.bounded(
      () => (policy === undefined ? call(signal) : policy.execute((context) => call(context.signal), signal)),
      signal,
    );
  }

  /** Runs a whole call when the bulkhead has a place for it. */
  async bounded<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { bulkhead, options } = this;
    if (bulkhead === undefined) return call();
    await bulkhead.enter(options.totalTimeoutMs === 0 ? options.timeoutMs : options.totalTimeoutMs, signal);
    try {
      return await call();
    } finally {
      bulkhead.leave();
    }
  }
}
