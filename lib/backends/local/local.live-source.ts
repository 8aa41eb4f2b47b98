import { FolderEvents, type Changed, type PullSource } from '../../backend/index.js';

/** After a failure everything is read again at least this often, in milliseconds. */
const RETRY_MS = 500;

/** A reading that takes longer has failed, in milliseconds: a network file system may hang. */
const TIMEOUT_MS = 10_000;

/** What is read of a folder. */
export interface LiveFolder<T> {
  /** For messages: `the instances of STOCK`. */
  readonly what: string;
  readonly folder: string;
  /** Milliseconds between readings of everything. */
  readonly pollMs: number;
  /** How long events are gathered before they are followed, in milliseconds. */
  readonly gatherMs: number;
  /** See {@link PullSource.tickMs}. */
  readonly tickMs?: () => number;
  /** Reads what changed. */
  read(changed: Changed): Promise<T>;
}

/** A folder that is read: what changed when the file system says so, and everything from time to time. */
export function liveSource<T>({ folder, pollMs, read, ...rest }: LiveFolder<T>): PullSource<T> {
  const retryMs = Math.min(RETRY_MS, pollMs);
  let events: FolderEvents | undefined;
  return {
    ...rest,
    everyMs: pollMs,
    timeoutMs: TIMEOUT_MS,
    retry: { initialMs: retryMs, maxMs: retryMs },
    follow: ({ again }) => {
      const armed = new FolderEvents(folder, again);
      events = armed;
      return () => armed.close();
    },
    read: async ({ changed }) => {
      // Before reading: what changes from here on is an event, or was read.
      if (changed === 'all') await events?.arm();
      return read(changed);
    },
  };
}
