import type { ServiceInstance } from '../model/index.js';

/** A call to a service, before an instance is picked. */
export interface ObservedCall {
  /**
   * How it is made: `http`, `grpc`, `message` …; `custom` for `walkNodes`, whose caller alone
   * knows; `pick` for `DiscoveryClient.pick`, whose caller sends it too, outside of {@link AttemptObservation.run}.
   */
  readonly protocol: string;
  /**
   * The service that is called. Of an address that a backend resolves (`7.instance_id.asab`) the first part, which may be
   * one instance's, is a `*`.
   */
  readonly service: string;
  /** `GET`, in capitals, or the method of a protocol that has named ones. @default unknown */
  readonly method?: string | undefined;
  /** The path as the code has it, with names in the place of values: `/orders/:id`. @default unknown */
  readonly template?: string | undefined;
}

/** Why an instance is asked. */
export type AttemptReason =
  | 'first'
  /** Another instance has failed. */
  | 'retry'
  /** Another instance takes long. */
  | 'hedge';

/** A try of a call, before it is sent. */
export interface ObservedAttempt {
  readonly instance: ServiceInstance;
  readonly reason: AttemptReason;
  /** How many tries of the call there were before it. */
  readonly resendCount: number;
}

/**
 * How a call or a try ended:
 * - `success`: with an answer that is no error;
 * - `failed`: with an error, of the network or of the service (from 400 on);
 * - `discarded`: without saying anything of the service: there was nobody to call, the caller gave up, another try was faster.
 */
export type CallOutcome = 'success' | 'failed' | 'discarded';

/** The end of a call or a try. */
export interface CallResult {
  readonly outcome: CallOutcome;
  /** The status that was answered. @default none */
  readonly status?: number | undefined;
  /** One of few words for what it failed by: the status, the error's code, or `_OTHER`. @default none */
  readonly errorType?: string | undefined;
  /** What was thrown. @default none */
  readonly error?: unknown;
}

/** One try, as an observer follows it. */
export interface AttemptObservation {
  /** What goes out with the try: headers, or what the protocol has in their place. The caller's own win. @default none */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends the try, for those who keep a context around it. Must call `send` once and give what it gives. */
  run?<T>(send: () => T): T;
  /** Told once, before the next try or the call's own end. */
  end?(result: CallResult): void;
}

/** One call, as an observer follows it. */
export interface CallObservation {
  /** A try is about to be sent. @returns what follows it; undefined when nobody cares */
  attempt?(attempt: ObservedAttempt): AttemptObservation | undefined;
  /** The call might have been tried again, and the service's retry budget forbade it. */
  retryRefused?(): void;
  /** Told once, as the last. */
  end?(result: CallResult): void;
}

/**
 * Hears of the calls that an app makes to services, whatever the protocol. Everything is told synchronously, on the path
 * of the call: an observer does little, keeps nothing of what it is given longer than the call, and never waits. What it
 * throws is reported as `listener.failed`, and the call goes on.
 */
export interface CallObserver {
  /** A call begins. @returns what follows it; undefined when nobody cares */
  begin(call: ObservedCall): CallObservation | undefined;
}
