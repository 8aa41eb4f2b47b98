import type { PushSource } from '../backend/index.js';
import type { InMemoryServer, ServerObserver } from './in-memory-server.js';

/** What is watched of an in-memory server. */
export interface WatchedValue<T> {
  readonly what: string;
  /** What the server has at this moment. */
  value(): T;
  /** Which of its changes concern it. */
  changes(look: () => void): ServerObserver;
}

/**
 * A source of what the server pushes: every change at once, and the failure as long as it lasts.
 *
 * @param counted the name of its counters: `openWatches`, `watchesOpened` …
 */
export function watched<T>(
  server: InMemoryServer,
  counted: 'Watches' | 'ConfigWatches',
  { what, value, changes }: WatchedValue<T>,
): PushSource<T> {
  const [open, opened] =
    counted === 'Watches'
      ? (['openWatches', 'watchesOpened'] as const)
      : (['openConfigWatches', 'configWatchesOpened'] as const);
  let tell: (value: T) => void = () => {};
  const read = async (signal: AbortSignal): Promise<void> => {
    await server.request('reads', signal);
    tell(value());
  };
  return {
    what,
    follow: (events) => {
      const closing = new AbortController();
      // The first word is the first reading's.
      let spoken = false;
      const fail = (error: unknown): void => {
        spoken = true;
        events.failed(error);
      };
      tell = (next) => {
        spoken = true;
        events.value(next);
      };
      const look = (): void => {
        if (server.paused) return;
        if (server.failure !== undefined) fail(server.failure);
        else if (spoken) events.value(value());
      };
      server.stats[open] += 1;
      server.stats[opened] += 1;
      const unobserve = server.observe({ ...changes(look), availability: look });
      read(closing.signal).catch((error: unknown) => {
        if (!closing.signal.aborted) fail(error);
      });
      return () => {
        closing.abort();
        unobserve();
        server.stats[open] -= 1;
      };
    },
    refresh: read,
  };
}
