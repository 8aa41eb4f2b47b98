import { printable, toDiscoveryError, type DiscoveryErrorCode, type DiscoveryEvent } from '../../model/index.js';
import type { Clock } from '../port/clock.js';

/** Records that are remembered; what strangers write must not fill the memory. */
const MAX_TOLD = 1000;

/** After this time everything may be told again, in milliseconds. */
const FORGET_MS = 3_600_000;

/** What {@link Skips} need. */
export interface SkipsOptions {
  /** Name of the backend. */
  readonly backend: string;
  readonly clock: Clock;
  readonly report: (event: DiscoveryEvent) => void;
}

/**
 * Tells of records that were left out: each once for each version of it, and of too many only that they are too many.
 * The key is record and version: with the record alone two bad records of one name would make each other news for ever,
 * and a list of the newest would tell all of them at every push.
 */
export class Skips {
  private told = new Set<string>();
  private since: number | undefined;

  constructor(private readonly options: SkipsOptions) {}

  /**
   * @param record where it lies: `ORDERS/10.0.0.1:8080`, a path, a key
   * @param problem what was thrown, or a text
   * @param version tells one content from another. @default the problem
   */
  skip(record: string, problem: unknown, version?: string, code: DiscoveryErrorCode = 'INVALID_INSTANCE'): void {
    const { backend, clock } = this.options;
    const cause = typeof problem === 'string' ? new Error(problem) : problem;
    const name = printable(record);
    const error = toDiscoveryError(cause, code, `${name} was left out`, { backend });
    const now = clock.now();
    if (this.since === undefined || now - this.since > FORGET_MS) {
      this.since = now;
      this.told.clear();
    }
    const key = JSON.stringify([record, version ?? error.message]);
    if (this.told.size > MAX_TOLD || this.told.has(key)) return;
    this.told.add(key);
    if (this.told.size <= MAX_TOLD) this.options.report({ type: 'record.skipped', backend, record: name, error });
    else {
      const more = `more than ${MAX_TOLD} records were left out; those that follow are not told of`;
      this.options.report({
        type: 'record.skipped',
        backend,
        record: name,
        error: toDiscoveryError(new Error(more), code, backend, { backend, cause: error }),
      });
    }
  }
}
