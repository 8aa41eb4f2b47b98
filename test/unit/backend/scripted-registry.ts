import type { LeaseOperations } from '../../../lib/backend/index.js';
import type { Registration } from '../../../lib/model/index.js';
import type { ManualClock } from '../../../lib/testing/index.js';
import { untilAborted } from './helpers.js';

export type Behaviour =
  | 'answers'
  /** Refuses, and does nothing. */
  | 'fails'
  /** Does it, and then the answer is lost. */
  | 'loses-answers'
  /** Says nothing until the signal aborts. */
  | 'hangs';

/** A registry of one record that does what a test tells it to, and writes down everything it is asked. */
export class ScriptedRegistry {
  record: Registration | undefined;
  behaviour: Behaviour = 'answers';
  /** What every operation fails with. */
  failure: (() => Error) | undefined;
  /** How long an answer takes, in milliseconds; 0: no timer at all. */
  latencyMs = 0;
  readonly calls: string[] = [];
  readonly startedAt: number[] = [];
  running = 0;
  mostAtOnce = 0;

  constructor(private readonly clock: ManualClock) {}

  /** The calls since the last time. */
  take(): string[] {
    return this.calls.splice(0);
  }

  operations(): LeaseOperations & Required<Pick<LeaseOperations, 'renew'>> {
    return {
      register: (wanted, signal) =>
        this.answer(`register ${wanted.status}`, signal, () => {
          this.record = wanted;
        }),
      renew: (wanted, signal) =>
        this.answer(`renew ${wanted.status}`, signal, () =>
          this.record === undefined ? ('forgotten' as const) : ('renewed' as const),
        ),
      deregister: (wanted, signal) =>
        this.answer(`deregister ${wanted.status}`, signal, () => {
          const removal = this.record === undefined ? ('absent' as const) : ('removed' as const);
          this.record = undefined;
          return removal;
        }),
    };
  }

  private async answer<T>(call: string, signal: AbortSignal, effect: () => T): Promise<T> {
    this.calls.push(call);
    this.startedAt.push(this.clock.now());
    this.running += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.running);
    const { behaviour, latencyMs } = this;
    try {
      if (this.failure !== undefined) throw this.failure();
      if (behaviour === 'hangs') await untilAborted(signal);
      if (latencyMs > 0) await Promise.race([this.pause(latencyMs), untilAborted(signal)]);
      if (behaviour === 'fails') throw new Error('refused');
      const result = effect();
      if (behaviour === 'loses-answers') throw new Error('the answer was lost');
      return result;
    } finally {
      this.running -= 1;
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(resolve, ms));
  }
}
