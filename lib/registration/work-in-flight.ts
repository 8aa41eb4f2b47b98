import { until, ValueView, type Clock } from '../backend/index.js';

/** Something under way. */
interface Work {
  readonly counts: () => boolean;
}

/** Counts what the app is doing for others, requests and messages alike, so that a shutdown can wait for it. */
export class WorkInFlight {
  private readonly running = new Set<Work>();
  /** Counts what has ended, so that each end is news. */
  private readonly ends = new ValueView<number>(0);

  /**
   * Something begins.
   * @param counts whether it is to be waited for, asked anew each time: an answer may turn out to be an endless stream
   * @returns to be called when it has ended; calling it again does nothing
   */
  begin(counts: () => boolean = () => true): () => void {
    const work = { counts };
    this.running.add(work);
    return () => {
      if (this.running.delete(work)) this.ends.set(this.ends.current + 1);
    };
  }

  /** How much is under way that ends by itself. */
  get count(): number {
    let count = 0;
    for (const work of this.running) if (work.counts()) count += 1;
    return count;
  }

  /** Resolves with true when nothing is under way, or with false after `timeoutMs` or when `signal` aborts. */
  whenIdle(clock: Clock, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    return until(this.ends, () => this.count === 0, { clock, timeoutMs, signal });
  }
}
