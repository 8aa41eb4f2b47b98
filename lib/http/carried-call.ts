import type { PickContext } from '../balancing/index.js';
import type { ServiceInstance } from '../model/index.js';
import type { CallFollower } from '../observability/index.js';
import { pickFirst, tryEach, type Callee, type CallManner } from './attempts.js';
import type { ResolvedCallOptions } from './call-options.js';
import type { CallRouting } from './call-routing.js';

/** A call that {@link ServiceCaller.carry} has made by others. */
export interface CarriedCall extends Pick<
  CallManner,
  'method' | 'isReplayable' | 'isCallersFault' | 'signal' | 'endOf'
> {
  readonly context: PickContext;
  /** A header of the call, for lanes and for strategies that go by one. */
  readonly header: (name: string) => string | undefined;
  /** Its path and query, for versions that stand there. */
  readonly path?: string | undefined;
}

/** Makes one try of such a call; resolves with something that has the answer's `status`. */
export type CarriedAttempt<T> = (
  instance: ServiceInstance,
  how: {
    readonly options: ResolvedCallOptions;
    /** How long it may take, in milliseconds; 0: for ever. @param own instead of the service's `timeoutMs` */
    readonly timeLeft: (own: number | undefined) => number;
    /** The path below which the instance serves, as it says: not checked. */
    readonly basePath: string | undefined;
    /** What those who observe the call have go out with the try, unless the call has it already. */
    readonly headers: Readonly<Record<string, string>> | undefined;
  },
) => Promise<T>;

/** Makes the call. @throws what `ServiceCaller.carry` does */
export function carryOut<T>(
  callee: Callee,
  call: CarriedCall,
  routing: CallRouting,
  now: () => number,
  attempt: CarriedAttempt<T>,
  observed: CallFollower | undefined,
): Promise<T> {
  const { options, balancer } = callee;
  const { service } = balancer.view.current;
  const { totalTimeoutMs } = options;
  const deadline = totalTimeoutMs === 0 ? Infinity : now() + totalTimeoutMs;
  const context = routing.contextOf(service, options, { header: call.header, path: call.path, given: call.context });
  // Written out: every request pays for it.
  const manner: CallManner = {
    method: call.method,
    isReplayable: call.isReplayable,
    isCallersFault: call.isCallersFault,
    signal: call.signal,
    endOf: call.endOf,
    everyFailure: false,
    deadline,
    context,
    now,
    observed,
  };
  const timeLeft = (own: number | undefined): number => {
    const timeoutMs = own ?? options.timeoutMs;
    if (deadline === Infinity) return timeoutMs;
    const left = Math.max(1, Math.ceil(deadline - now()));
    return timeoutMs === 0 ? left : Math.min(timeoutMs, left);
  };
  return tryEach(callee, manner, pickFirst(callee, context), (instance, headers) =>
    attempt(instance, { options, timeLeft, basePath: instance.metadata[options.basePathMetadata], headers }),
  );
}
