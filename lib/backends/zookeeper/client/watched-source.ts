import type { PullSource } from '../../../backend/index.js';
import type { ZooKeeperClient } from './zookeeper-client.js';

/** After a reading that failed the next one comes this soon, in milliseconds, if no connection brings it sooner. */
const RETRY_MS = 2000;

const TIMEOUT_MS = 120_000;

/** What is read of ZooKeeper under watches. */
export interface WatchedSourceOptions<T> {
  readonly client: ZooKeeperClient;
  /** What is read, for messages. */
  readonly what: string;
  /** Milliseconds between readings of everything, which stand behind the watches. */
  readonly rescanMs: number;
  /** Listens to the watches; returns how to end that. */
  readonly listen: (again: (hint: string) => void) => () => void;
  readonly read: PullSource<T>['read'];
}

/** A source that is read when a watch fired, after every (re)connection, and from time to time. */
export function watchedSource<T>({ client, what, rescanMs, listen, read }: WatchedSourceOptions<T>): PullSource<T> {
  const retryMs = Math.min(RETRY_MS, rescanMs);
  return {
    what,
    everyMs: rescanMs,
    timeoutMs: TIMEOUT_MS,
    retry: { initialMs: retryMs, maxMs: retryMs },
    follow: ({ again, failed }) => {
      const unsubscribe = client.state.subscribe(({ phase }) => {
        // The watches are gone with the connection, and a reading would wait for the next one.
        if (phase === 'connected') again();
        else if (client.outage !== undefined) failed(client.outage);
      });
      const unlisten = listen(again);
      return () => {
        unsubscribe();
        unlisten();
      };
    },
    read: async (reading) => {
      if (client.outage !== undefined) throw client.outage;
      return read(reading);
    },
  };
}
