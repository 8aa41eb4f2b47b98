import { setTimeout as sleep } from 'node:timers/promises';

/** Options of {@link waitFor}. */
export interface WaitOptions {
  readonly timeoutMs: number;
  readonly intervalMs?: number;
  /** What was waited for, in the error's message. */
  readonly what: string;
  /** Rejects when waiting has become pointless. */
  readonly unless?: Promise<never>;
}

/** Polls until the condition gives something other than false or undefined; its errors count as "not yet". */
export async function waitFor<T>(
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  options: WaitOptions,
): Promise<T> {
  const end = Date.now() + options.timeoutMs;
  let lastError: unknown;
  let stopped = false;
  const poll = async (): Promise<T> => {
    for (;;) {
      try {
        const value = await condition();
        if (value !== false && value !== undefined) return value;
        lastError = undefined;
      } catch (error) {
        lastError = error;
      }
      if (stopped || Date.now() > end) {
        const why = lastError instanceof Error ? `: ${lastError.message}` : '';
        throw new Error(`${options.what}: not within ${options.timeoutMs} ms${why}`, { cause: lastError });
      }
      await sleep(options.intervalMs ?? 50);
    }
  };
  try {
    return await (options.unless ? Promise.race([poll(), options.unless]) : poll());
  } finally {
    stopped = true;
  }
}

/** One GET with a short limit; the body is read so that the connection is free again. */
export async function httpGet(url: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  const response = await fetch(url, { signal: AbortSignal.timeout(3_000), ...init });
  return { status: response.status, text: await response.text() };
}
