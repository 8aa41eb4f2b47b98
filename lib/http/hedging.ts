import { CanceledError, type GenericAbortSignal } from 'axios';
import type { InstancePick } from '../balancing/index.js';
import type { ServiceInstance } from '../model/index.js';
import type { AttemptReason } from '../observability/index.js';
import { pickFirst, pickHedge, tryEach, type Callee, type CallManner, type SharedTries } from './attempts.js';
import type { HedgingOptions } from './call-options.js';
import { judge } from './failover.js';
import { CallSignal } from './transport/index.js';

/**
 * Tries as {@link tryEach} does, and asks further instances besides while no answer has come. The first answer counts;
 * whatever else is under way is given up. A hedge is taken from the retry budget, as a retry is.
 *
 * @param signal ends all of it
 * @see "The Tail at Scale"; gRPC's proposal A6
 */
export function tryHedged<T>(
  callee: Callee,
  manner: CallManner,
  hedging: HedgingOptions,
  attempt: (
    instance: ServiceInstance,
    headers: Readonly<Record<string, string>> | undefined,
    signal: CallSignal,
  ) => Promise<T>,
  signal: GenericAbortSignal | undefined,
): Promise<T> {
  const { delayMs, maxHedges = 1 } = hedging;
  const shared: SharedTries = { tried: new Set(), attempts: [], won: false };
  const lines = new Set<CallSignal>();
  return new Promise<T>((resolve, reject) => {
    let hedges = 0;
    let timer: NodeJS.Timeout | undefined;
    const abort = (): void => {
      for (const line of lines) line.abort();
    };
    const settle = (how: () => void): void => {
      shared.won = true;
      clearTimeout(timer);
      signal?.removeEventListener?.('abort', abort);
      abort();
      how();
    };
    const start = (pick: InstancePick, reason: AttemptReason): void => {
      const line = new CallSignal();
      lines.add(line);
      tryEach(callee, manner, pick, (instance, headers) => attempt(instance, headers, line), shared, reason).then(
        (result) => {
          lines.delete(line);
          if (!shared.won) settle(() => resolve(result));
        },
        (error: unknown) => {
          lines.delete(line);
          // One line's failure counts when no other may still succeed, or when another instance would say the same.
          if (!shared.won && (lines.size === 0 || isFinal(error))) settle(() => reject(error));
        },
      );
      if (hedges < maxHedges) timer = setTimeout(hedge, delayMs);
    };
    const isFinal = (error: unknown): boolean =>
      hasAnswer(error) && judge(error, manner.method, callee.options.retry).elsewhere === 'never';
    const hedge = (): void => {
      hedges += 1;
      const next = pickHedge(callee, manner, shared.tried);
      if (next !== undefined) start(next, 'hedge');
    };
    // While the instances were looked up.
    if (signal?.aborted === true) throw new CanceledError();
    const first = pickFirst(callee, manner.context);
    signal?.addEventListener?.('abort', abort);
    start(first, 'first');
  });
}

function hasAnswer(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'response' in error && error.response !== undefined;
}
