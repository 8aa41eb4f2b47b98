import { BoundedNames, OTHER } from './bounded-names.js';
import type {
  AttemptReason,
  CallObservation,
  CallObserver,
  CallOutcome,
  CallResult,
  ObservedAttempt,
  ObservedCall,
} from './call-observer.js';

/** What a {@link CallMeter} has counted of one service since it began. */
export interface CallCounts {
  /** The service's name; `other` for all beyond the limit. */
  readonly service: string;
  /** Calls under way. */
  readonly active: number;
  /** Tries, by why an instance was asked. */
  readonly attempts: Readonly<Record<AttemptReason, number>>;
  /** How often the retry budget forbade another try. */
  readonly retriesRefused: number;
}

/** What is told of a call that has ended; the objects of equal labels are one, and frozen. */
export interface CallLabels {
  readonly service: string;
  readonly outcome: CallOutcome;
  /** @default none, for calls that succeeded */
  readonly errorType?: string;
}

/** Options of a {@link CallMeter}. */
export interface CallMeterOptions {
  /**
   * Told of each call that has ended, with how long it took in seconds, its tries and waits included; of many in one go,
   * see {@link CallMeter.flush}.
   */
  readonly onEnd: (labels: CallLabels, seconds: number) => void;
  /** Services that are told apart; all others are `other`. @default 1000 */
  readonly maxServices?: number;
  /** Milliseconds that pass evenly, of any origin. @default performance.now */
  readonly now?: () => number;
}

/** Calls whose end is told in one go. */
const BATCH = 256;

/** Kinds of errors that are told apart. */
const MAX_ERROR_TYPES = 100;

/** Error types beyond those, as OpenTelemetry's conventions call them. */
const OTHER_ERROR = '_OTHER';

/** Counts calls and measures how long they take, with labels that are bounded whatever is called. */
export class CallMeter implements CallObserver {
  private readonly services = new Map<string, ServiceMeter>();
  private readonly names: BoundedNames;
  private readonly routes: BoundedNames;
  private readonly errorTypes = new BoundedNames(MAX_ERROR_TYPES);
  private readonly onEnd: CallMeterOptions['onEnd'];
  private readonly now: () => number;
  private readonly seconds = new Float64Array(BATCH);
  private readonly labels: CallLabels[] = [];

  constructor({ onEnd, maxServices = 1000, now = () => performance.now() }: CallMeterOptions) {
    this.onEnd = onEnd;
    this.now = now;
    this.names = new BoundedNames(maxServices);
    this.routes = new BoundedNames(maxServices);
  }

  /** What was counted, by service. */
  get counts(): readonly CallCounts[] {
    return [...this.services.values()];
  }

  /** The label of a service; `proved` when it is known to exist. */
  labelOf(service: string, proved: boolean): string {
    return this.names.labelOf(service, proved);
  }

  /** Whether a route of a gateway is told apart. */
  hasRoute(id: string): boolean {
    return this.routes.has(id, true);
  }

  begin({ service }: ObservedCall): CallObservation {
    return new MeteredCall(this, service, this.meterOf(service, false), this.now());
  }

  /**
   * Tells the ends of calls that were not told yet; to be called before what they are told to is read. They are told
   * together, since recording one in the middle of a call, by code that is cold by then, costs twice as much.
   */
  flush(): void {
    const { labels, seconds, onEnd } = this;
    const ended = labels.splice(0);
    ended.forEach((of, index) => onEnd(of, seconds[index] ?? 0));
  }

  /** @internal The counts of a service. */
  meterOf(service: string, proved: boolean): ServiceMeter {
    const known = this.services.get(service);
    if (known !== undefined) return known;
    const label = this.names.labelOf(service, proved);
    let meter = this.services.get(label);
    if (meter === undefined) this.services.set(label, (meter = new ServiceMeter(label)));
    return meter;
  }

  /** @internal A call has ended. */
  ended(meter: ServiceMeter, startedAt: number, { outcome, errorType }: CallResult): void {
    const type =
      outcome === 'success' ? undefined : this.errorTypes.has(errorType ?? OTHER_ERROR, true) ? errorType : OTHER_ERROR;
    this.seconds[this.labels.length] = (this.now() - startedAt) / 1000;
    this.labels.push(meter.labels(outcome, type));
    if (this.labels.length === BATCH) this.flush();
  }
}

/** The counts of one service. */
class ServiceMeter implements CallCounts {
  active = 0;
  readonly attempts = { first: 0, retry: 0, hedge: 0 };
  retriesRefused = 0;
  private readonly success: CallLabels;
  private readonly failures = new Map<string, CallLabels>();

  constructor(readonly service: string) {
    this.success = Object.freeze({ service, outcome: 'success' });
  }

  labels(outcome: CallOutcome, errorType: string = OTHER_ERROR): CallLabels {
    if (outcome === 'success') return this.success;
    const key = `${outcome} ${errorType}`;
    let labels = this.failures.get(key);
    if (labels === undefined) {
      labels = Object.freeze({ service: this.service, outcome, errorType });
      this.failures.set(key, labels);
    }
    return labels;
  }
}

class MeteredCall implements CallObservation {
  constructor(
    private readonly parent: CallMeter,
    private readonly service: string,
    private meter: ServiceMeter,
    private readonly startedAt: number,
  ) {
    meter.active += 1;
  }

  attempt({ reason }: ObservedAttempt): undefined {
    // It has an instance: the name is nobody's invention.
    if (this.meter.service === OTHER && this.service !== OTHER) this.moveTo(this.parent.meterOf(this.service, true));
    this.meter.attempts[reason] += 1;
  }

  retryRefused(): void {
    this.meter.retriesRefused += 1;
  }

  end(result: CallResult): void {
    this.meter.active -= 1;
    this.parent.ended(this.meter, this.startedAt, result);
  }

  private moveTo(meter: ServiceMeter): void {
    this.meter.active -= 1;
    meter.active += 1;
    this.meter = meter;
  }
}
