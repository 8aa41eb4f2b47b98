import type { Unsubscribe } from '../backend/index.js';
import type {
  AttemptObservation,
  CallObservation,
  CallObserver,
  CallResult,
  ObservedAttempt,
  ObservedCall,
} from './call-observer.js';

/** Told of what an observer threw. */
type OnFailure = (error: unknown) => void;

/**
 * The one place where calls are observed. Whoever makes calls asks {@link begin}, and tells what it gives of the tries and
 * of the end; without observers it gives undefined, which is all that a call then costs:
 *
 * ```ts
 * const observed = telemetry.begin?.({ protocol: 'grpc', service });
 * const attempt = observed?.attempt({ instance, reason: 'first', resendCount: 0 });
 * // ... sends it, by attempt.run and with attempt.headers ...
 * attempt?.end({ outcome: 'success' });
 * observed?.end({ outcome: 'success' });
 * ```
 */
export class CallTelemetry {
  /** A call begins. Undefined as long as nobody observes. */
  begin: ((call: ObservedCall) => CallFollower | undefined) | undefined;
  private observers: readonly CallObserver[] = [];

  /** @param onFailure told of what an observer threw */
  constructor(private readonly onFailure: OnFailure) {}

  /** Has `observer` hear of every call that begins from now on. */
  observe(observer: CallObserver): Unsubscribe {
    // Of its own, so that one observer that is given twice is told twice, and taken back once.
    const entry: CallObserver = { begin: (call) => observer.begin(call) };
    this.set([...this.observers, entry]);
    return () => this.set(this.observers.filter((one) => one !== entry));
  }

  private set(observers: readonly CallObserver[]): void {
    this.observers = observers;
    this.begin = observers.length === 0 ? undefined : (call) => this.follow(call);
  }

  private follow(call: ObservedCall): CallFollower | undefined {
    let all: CallObservation[] | undefined;
    for (const observer of this.observers) {
      try {
        const observation = observer.begin(call);
        if (observation === undefined) continue;
        if (all === undefined) all = [observation];
        else all.push(observation);
      } catch (error) {
        this.onFailure(error);
      }
    }
    return all === undefined ? undefined : new CallFollower(all, this.onFailure);
  }
}

/** Tells the observers of one call about it, each whatever becomes of the others. */
export class CallFollower {
  private sent = 0;
  private isOver = false;

  constructor(
    private readonly observations: readonly CallObservation[],
    private readonly onFailure: OnFailure,
  ) {}

  /** A try is about to be sent. Undefined when nobody follows it. */
  attempt(attempt: Omit<ObservedAttempt, 'resendCount'>): AttemptFollower | undefined {
    const resendCount = this.sent;
    this.sent += 1;
    let all: AttemptObservation[] | undefined;
    for (const observation of this.observations) {
      if (observation.attempt === undefined) continue;
      try {
        const followed = observation.attempt({ instance: attempt.instance, reason: attempt.reason, resendCount });
        if (followed === undefined) continue;
        if (all === undefined) all = [followed];
        else all.push(followed);
      } catch (error) {
        this.onFailure(error);
      }
    }
    return all === undefined ? undefined : new AttemptFollower(all, this.onFailure);
  }

  /** The retry budget forbade another try. */
  retryRefused(): void {
    for (const observation of this.observations) guarded(() => observation.retryRefused?.(), this.onFailure);
  }

  /** The call has ended; what comes after the first end is ignored. */
  end(result: CallResult): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const observation of this.observations) {
      try {
        observation.end?.(result);
      } catch (error) {
        this.onFailure(error);
      }
    }
  }
}

/** Tells the observers of one try about it. */
export class AttemptFollower {
  constructor(
    private readonly observations: readonly AttemptObservation[],
    private readonly onFailure: OnFailure,
  ) {}

  /** What goes out with the try, if anything. */
  get headers(): Readonly<Record<string, string>> | undefined {
    const [first, ...others] = this.observations;
    if (others.length === 0) return first?.headers;
    const all: Record<string, string> = {};
    for (const { headers } of this.observations) Object.assign(all, headers);
    return all;
  }

  /** Sends the try within the observers' contexts, the first outermost. */
  run<T>(send: () => T): T {
    const [first, ...others] = this.observations;
    if (first !== undefined && others.length === 0) return first.run === undefined ? send() : this.within(first, send);
    return this.observations.reduceRight<() => T>(
      (inner, observation) => (observation.run === undefined ? inner : () => this.within(observation, inner)),
      send,
    )();
  }

  end(result: CallResult): void {
    for (const observation of this.observations) {
      try {
        observation.end?.(result);
      } catch (error) {
        this.onFailure(error);
      }
    }
  }

  /** An observer that fails before it has sent the try must not keep it from being sent, and none is sent twice. */
  private within<T>(observation: AttemptObservation, inner: () => T): T {
    let sent: { readonly value: T } | { readonly thrown: unknown } | undefined;
    try {
      observation.run?.(() => {
        try {
          const value = inner();
          sent = { value };
          return value;
        } catch (error) {
          sent = { thrown: error };
          throw error;
        }
      });
    } catch (error) {
      if (sent === undefined || !('thrown' in sent) || sent.thrown !== error) this.onFailure(error);
    }
    if (sent === undefined) return inner();
    if ('thrown' in sent) throw sent.thrown;
    return sent.value;
  }
}

function guarded(tell: () => void, onFailure: OnFailure): void {
  try {
    tell();
  } catch (error) {
    onFailure(error);
  }
}
