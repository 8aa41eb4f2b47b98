import type { Clock, Timer } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { toRequestError } from '../connection/errors.js';
import type { NatsConnection, NatsRawMessage } from '../connection/port.js';

/** When a question to many has been answered. */
export interface GatherOptions {
  /** Longest wait in all, in milliseconds. @default 2000 */
  readonly maxWaitMs?: number;
  /** Longest wait for the next answer after the first, in milliseconds. @default 300 */
  readonly stallMs?: number;
  /** Answers that are enough. @default no limit */
  readonly maxCount?: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks everybody who listens on a subject and gives the answers as they come. Ends when answers stall, when there are
 * enough, after the longest wait, and at once when nobody listens.
 *
 * @throws DiscoveryError `BACKEND_UNAVAILABLE` when the connection is lost meanwhile, `ABORTED`, `BACKEND_CLOSED`
 */
export async function* gather(
  connection: NatsConnection,
  clock: Clock,
  inbox: string,
  subject: string,
  options: GatherOptions = {},
): AsyncGenerator<NatsRawMessage, void, undefined> {
  const { maxWaitMs = 2000, stallMs = 300, maxCount = Infinity, signal } = options;
  const queue: NatsRawMessage[] = [];
  let ended = false;
  let failure: DiscoveryError | undefined;
  let wake = (): void => {};
  let stall: Timer | undefined;
  const end = (error?: DiscoveryError): void => {
    if (ended) return;
    ended = true;
    failure = error;
    wake();
  };
  const onAbort = (): void => end(new DiscoveryError('ABORTED', `asking ${subject} was aborted`));
  if (signal?.aborted === true) throw new DiscoveryError('ABORTED', `asking ${subject} was aborted`);
  let count = 0;
  const receive = (error: Error | null, message: NatsRawMessage): void => {
    if (error !== null) return end(toRequestError(error, subject, maxWaitMs));
    if (ended) return;
    if (message.headers?.code === 503 && message.data.length === 0) return end();
    count += 1;
    queue.push(message);
    stall?.cancel();
    stall = clock.setTimer(() => end(), stallMs);
    if (count >= maxCount) end();
    wake();
  };
  const subscription = attempt(subject, () => connection.subscribe(inbox, { callback: receive }));
  const longest = clock.setTimer(() => end(), maxWaitMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    attempt(subject, () => connection.publish(subject, undefined, { reply: inbox }));
    for (;;) {
      const message = queue.shift();
      if (message !== undefined) {
        yield message;
        continue;
      }
      if (failure !== undefined) throw failure;
      if (ended) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    ended = true;
    longest.cancel();
    stall?.cancel();
    signal?.removeEventListener('abort', onAbort);
    if (!subscription.isClosed()) subscription.unsubscribe();
  }
}

function attempt<T>(subject: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw toRequestError(error, subject, 0);
  }
}
