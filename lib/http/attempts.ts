import {
  FIRST_TRY,
  outcomeOfBreak,
  outcomeOfStatus,
  type Balancer,
  type InstancePick,
  type Outcome,
  type PickContext,
  type Route,
} from '../balancing/index.js';
import { noInstance, resultOfError } from '../discovery/index.js';
import type { AttemptReason, CallFollower } from '../observability/index.js';
import { callFailureOf, codeOf, messageOf, type Attempt, type ServiceInstance } from '../model/index.js';
import type { ResolvedCallOptions } from './call-options.js';
import { OVERTAKEN, resultOfAnswer } from './call-result.js';
import { judge, retryAfterMs, type Verdict } from './failover.js';
import type { RetryBudget } from './retry-budget.js';

/** A service that is called: who to pick, and what retries it may get. */
export interface Callee {
  readonly balancer: Balancer;
  readonly route: Route;
  /** What the one who calls can speak; undefined for anything. */
  readonly schemes: readonly string[] | undefined;
  readonly budget: RetryBudget;
  /** Milliseconds since the epoch. */
  readonly time: () => number;
  readonly options: ResolvedCallOptions;
}

/** What may be done when a try fails. */
export interface CallManner {
  readonly method: string | undefined;
  /** Whether the body can be sent again, after a try that surely did not come to send it or after another one. */
  readonly isReplayable: (wasUnsent: boolean) => boolean;
  /** Whether a try failed by what the caller sent, which says nothing of the instance. @default never */
  readonly isCallersFault?: (() => boolean) | undefined;
  /**
   * Whether every failure of a call leads to the next instance, until all were tried; any other exception is that of the
   * code that makes the call, which would throw it there too.
   */
  readonly everyFailure: boolean;
  /** When the call's time is up, by `now`. */
  readonly deadline: number;
  /** What the pick goes by. */
  readonly context: PickContext;
  /** Milliseconds, of any origin. */
  readonly now: () => number;
  readonly signal?: { readonly aborted?: boolean } | undefined;
  /**
   * Of an answer that has only begun: resolves when it has ended, with what it broke off by. The instance has the call until then.
   * @default answers are whole
   */
  readonly endOf?: ((answer: unknown) => Promise<unknown> | undefined) | undefined;
  /** Told of each try. @default nobody is */
  readonly observed?: CallFollower | undefined;
}

/** Makes one try; `headers` go out with it, for those who observe the call. */
export type AttemptFunction<T> = (
  instance: ServiceInstance,
  headers: Readonly<Record<string, string>> | undefined,
) => Promise<T>;

/** What the lines of a hedged call have in common. */
export interface SharedTries {
  /** URLs of the instances that were tried, or are being tried now. */
  readonly tried: Set<string>;
  readonly attempts: Attempt[];
  /** Another line has answered; what is still under way is given up. */
  won: boolean;
}

/**
 * The first instance of a call.
 * @throws NoInstanceError when the service has none
 */
export function pickFirst(callee: Callee, context: PickContext = FIRST_TRY): InstancePick {
  const { balancer, route, budget, schemes, options } = callee;
  const first = route.pick(context);
  if (first === undefined) {
    throw noInstance(balancer.view, { schemes, routing: options.routing, context, now: callee.time() });
  }
  budget.deposit();
  return first;
}

/**
 * Tries one instance after the other, beginning with `first`, for as long as trying again is safe, allowed and in time.
 * @throws the last try's error, with `attempts`
 */
export async function tryEach<T>(
  callee: Callee,
  manner: CallManner,
  first: InstancePick,
  attempt: AttemptFunction<T>,
  shared?: SharedTries,
  firstReason: AttemptReason = 'first',
): Promise<T> {
  const { balancer, options } = callee;
  let attempts = shared?.attempts;
  let tried = shared?.tried;
  let reason = firstReason;
  for (let pick = first; ;) {
    const { instance } = pick;
    shared?.tried.add(instance.url);
    const followed = manner.observed?.attempt({ instance, reason });
    try {
      const result = await (followed === undefined
        ? attempt(instance, undefined)
        : followed.run(() => attempt(instance, followed.headers)));
      settle(pick, resultOutcome(result), manner.endOf?.(result));
      followed?.end(resultOfAnswer(result));
      return result;
    } catch (error) {
      followed?.end(shared?.won === true ? OVERTAKEN : resultOfError(error));
      if (shared?.won === true) {
        pick.end('overtaken');
        throw error;
      }
      const verdict = manner.isCallersFault?.() === true ? CALLERS_FAULT : judge(error, manner.method, options.retry);
      pick.end(verdict.outcome);
      if (verdict.outcome === 'gateway-failure') balancer.pushBack(pick.endpoint, retryAfterMs(error));
      attempts ??= [];
      attempts.push(toAttempt(instance, error));
      tried ??= new Set();
      tried.add(instance.url);
      const elsewhere = manner.everyFailure ? walksOn(error) : verdict.elsewhere;
      if (manner.everyFailure && elsewhere === 'never') throw error;
      const allowed = manner.signal?.aborted !== true && manner.isReplayable(verdict.elsewhere === 'always');
      const next = allowed ? pickNext(callee, manner, elsewhere, tried) : undefined;
      if (next === undefined) throw withAttempts(error, attempts, callee, verdict.outcome);
      discard(error);
      pick = next;
      reason = 'retry';
    }
  }
}

function settle(pick: InstancePick, outcome: Outcome, ended: Promise<unknown> | undefined): void {
  if (ended === undefined) return pick.end(outcome);
  pick.answered(outcome);
  void ended.then((error) => pick.end(error === undefined ? outcome : outcomeOfBreak(error)));
}

/** The instance that a call may go to after those that it has tried; undefined when it may go to none. */
export function pickNext(
  { route, budget, options }: Callee,
  manner: Pick<CallManner, 'everyFailure' | 'now' | 'deadline' | 'context' | 'observed'>,
  elsewhere: Verdict['elsewhere'],
  tried: ReadonlySet<string>,
): InstancePick | undefined {
  const allowed =
    elsewhere !== 'never' &&
    (manner.everyFailure || options.maxAttempts === 'all' || tried.size < options.maxAttempts) &&
    manner.now() < manner.deadline;
  // Picked from the newest list, which may have changed while the call failed.
  const last = !manner.everyFailure && tried.size + 1 === options.maxAttempts;
  const next = allowed ? route.select({ ...manner.context, tried, last }) : undefined;
  if (next === undefined || tried.has(next.instance.url)) return undefined;
  if (elsewhere !== 'within-budget' || budget.withdraw()) return route.begin(next);
  manner.observed?.retryRefused();
  return undefined;
}

/** An instance to ask besides those that were asked; undefined when there is none, or the retry budget allows none. */
export function pickHedge(
  { route, budget }: Callee,
  { context, observed }: Pick<CallManner, 'context' | 'observed'>,
  tried: ReadonlySet<string>,
): InstancePick | undefined {
  const next = route.select({ ...context, tried });
  if (next === undefined || tried.has(next.instance.url)) return undefined;
  if (budget.withdraw()) return route.begin(next);
  observed?.retryRefused();
  return undefined;
}

function walksOn(error: unknown): Verdict['elsewhere'] {
  return callFailureOf(error) === undefined ? 'never' : 'always';
}

const CALLERS_FAULT: Verdict = { outcome: 'cancelled', elsewhere: 'never' };

/** With `validateStatus` off a failure comes as a result. */
function resultOutcome(result: unknown): Outcome {
  const status = typeof result === 'object' && result !== null && 'status' in result ? result.status : undefined;
  return typeof status === 'number' ? outcomeOfStatus(status) : 'success';
}

/** Of a port that doesn't speak what it is registered as, OpenSSL and the HTTP parser tell nothing that helps. */
function reasonOf({ scheme }: ServiceInstance, code: string | undefined, message: string): string {
  if (scheme === 'https' && (code === 'EPROTO' || code?.startsWith('ERR_SSL_') === true)) {
    return `it is registered as https, and its port speaks no TLS that this app understands (${message})`;
  }
  if (code?.startsWith('HPE_') === true) {
    return `it is registered as ${scheme}, and its port answers no HTTP: it may speak TLS, or another protocol (${message})`;
  }
  return message;
}

/** One try, and how it ended. */
export function toAttempt(instance: ServiceInstance, error: unknown): Attempt {
  const code = codeOf(error);
  return {
    target: instance.url,
    // OpenSSL's texts end their line.
    reason: reasonOf(instance, code, messageOf(error).trim()),
    ...(code === undefined ? {} : { code }),
  };
}

/**
 * Adds what was tried to the last try's error, which stays the error that axios users know; of connections that failed its
 * message tells too.
 */
export function withAttempts(
  error: unknown,
  attempts: readonly Attempt[],
  { balancer, route }: Callee,
  outcome: Outcome,
): unknown {
  if (error instanceof Error && outcome !== 'timeout' && callFailureOf(error) === 'unanswered') {
    const { service } = balancer.view.current;
    const known = Math.max(route.candidates.length, attempts.length);
    const tried = attempts.map(({ target, reason }) => `${target}: ${reason}`).join('; ');
    const all =
      known === attempts.length ? (known === 1 ? 'the only instance' : `all of ${known} instances`) : undefined;
    const which = all ?? `${attempts.length} of ${known} instances`;
    error.message = `${error.message.trim()} - ${which} of ${service} failed (${tried})`;
  }
  if (error instanceof Error) Object.defineProperty(error, 'attempts', { value: attempts, configurable: true });
  return error;
}

/** Lets go of the body of an answer that nobody will read. */
function discard(error: unknown): void {
  const data: unknown = (error as { readonly response?: { readonly data?: unknown } } | undefined)?.response?.data;
  if (typeof data === 'object' && data !== null && 'destroy' in data && typeof data.destroy === 'function')
    data.destroy();
}
