import type { InstancePick, PickContext } from '../../../balancing/index.js';
import { retryAfterMs, type Callee, type ResolvedCallOptions } from '../../../http/index.js';
import { printable, type Attempt, type ServiceInstance } from '../../../model/index.js';
import type { AttemptFollower, CallFollower, CallResult } from '../../../observability/index.js';
import { CANCELLED, OK, outcomeOfStatusCode, UNAVAILABLE } from './grpc-outcome.js';
import type { CallMetadata, CallStatus, GrpcLibrary } from './grpc-port.js';

/** What a call knows of its service. */
export interface CallOwner {
  readonly name: string;
  readonly library: GrpcLibrary;
  readonly options: ResolvedCallOptions;
  readonly called: Callee;
}

/** How much of a status's text is carried on. */
const MAX_DETAILS = 300;

/**
 * One call from its beginning to its end, whichever instances it goes to: grpc-js picks for every try anew, and for calls that
 * waited in its queue more than once.
 */
export class GrpcCall {
  /** URLs of the instances that failed. */
  tried: Set<string> | undefined;
  private attempts: Attempt[] | undefined;
  private last: CallStatus | undefined;
  /** Tries whose retry was paid for. */
  private paidFor = 0;
  private pick: InstancePick | undefined;
  private attempt: AttemptFollower | undefined;
  private isOver = false;

  constructor(
    private readonly service: CallOwner,
    /** What its picks go by. */
    readonly context: PickContext,
    /** Whether it may be made again when it may have been made. */
    readonly isIdempotent: boolean,
    private readonly isStream: boolean,
    private readonly observed: CallFollower | undefined,
  ) {}

  /** What its next pick goes by. */
  get pickContext(): PickContext {
    const { tried, context } = this;
    if (tried === undefined) return context;
    const { maxAttempts } = this.service.options;
    return { ...context, tried, last: tried.size + 1 === maxAttempts };
  }

  /** Whether it may be tried now; when it may not, it ends as it ended last. */
  mayBegin(): boolean {
    const { budget } = this.service.called;
    const tries = this.attempts?.length ?? 0;
    if (tries < this.paidFor) return true;
    this.paidFor = tries + 1;
    if (tries === 0) {
      budget.deposit();
      return true;
    }
    // What surely wasn't sent goes elsewhere whatever it is, as that of other protocols does.
    if (!this.isIdempotent || budget.withdraw()) return true;
    this.observed?.retryRefused();
    return false;
  }

  /** How its last try ended. */
  get lastStatus(): CallStatus | undefined {
    return this.last;
  }

  /** It is about to go to an instance: adds what those who observe it send along, in the place of nobody's own. */
  chosen(instance: ServiceInstance, metadata: CallMetadata): void {
    const { observed } = this;
    if (observed === undefined) return;
    // A pick may come to nothing, and is made again then.
    this.attempt?.end({ outcome: 'discarded' });
    this.attempt = observed.attempt({ instance, reason: this.attempts === undefined ? 'first' : 'retry' });
    setMissing(metadata, this.attempt?.headers);
  }

  /** It goes to the instance that was picked. */
  started(pick: InstancePick): void {
    this.pick?.cancelled();
    this.pick = pick;
  }

  /** The answer has begun. */
  answered(): void {
    // One answer says more when it has ended.
    if (this.isStream) this.pick?.answered('success');
  }

  /** A try has ended. */
  tryEnded(code: number, told: string, metadata: CallMetadata | undefined): void {
    const { pick } = this;
    // Before 1.14 grpc-js tells the code alone.
    const details = told === '' ? `answered ${this.service.library.status[code] ?? code}` : told;
    if (pick === undefined) return;
    this.pick = undefined;
    settlePick(this.service, pick, code, metadata);
    this.attempt?.end(resultOf(this.service, code, details));
    this.attempt = undefined;
    if (code === OK) return;
    const { url } = pick.instance;
    this.tried ??= new Set();
    this.tried.add(url);
    this.last = { code, details, ...(metadata === undefined ? {} : { metadata }) };
    this.attempts ??= [];
    this.attempts.push({ target: url, reason: printable(details).slice(0, MAX_DETAILS) });
  }

  /** It has ended. @returns the status that its caller gets */
  ended<S extends CallStatus>(status: S): S {
    if (this.isOver) return status;
    this.isOver = true;
    this.tryEnded(status.code, status.details, status.metadata);
    this.attempt?.end({ outcome: 'discarded' });
    this.observed?.end(resultOf(this.service, status.code, status.details));
    const { attempts } = this;
    if (status.code !== UNAVAILABLE || attempts === undefined) return status;
    const tried = attempts.map(({ target, reason }) => `${target}: ${reason}`).join('; ');
    return { ...status, details: `${status.details} - ${this.service.name} was tried at ${tried}` };
  }
}

/** Tells a pick how its call ended. */
export function settlePick(
  { called }: CallOwner,
  pick: InstancePick,
  code: number,
  metadata: CallMetadata | undefined,
): void {
  pick.end(outcomeOfStatusCode(code));
  if (code !== UNAVAILABLE) return;
  const [pause] = metadata?.get('grpc-retry-pushback-ms') ?? [];
  if (typeof pause !== 'string') return;
  const seconds = String(Number(pause) / 1000);
  called.balancer.pushBack(pick.endpoint, retryAfterMs({ response: { headers: { 'retry-after': seconds } } }));
}

/** Adds metadata that a call hasn't itself. */
export function setMissing(metadata: CallMetadata, more: Readonly<Record<string, string>> | undefined): void {
  for (const [name, value] of Object.entries(more ?? {})) {
    const key = name.toLowerCase();
    // What gRPC couldn't carry is left out, as is what would be another kind of value there.
    if (!/^[\w.-]+$/.test(key) || key.endsWith('-bin') || !/^[\x20-\x7e]*$/.test(value)) continue;
    if (metadata.get(key).length === 0) metadata.set(key, value);
  }
}

function resultOf({ library }: CallOwner, code: number, details: string): CallResult {
  if (code === OK) return { outcome: 'success' };
  const errorType = library.status[code] ?? '_OTHER';
  return {
    outcome: code === CANCELLED ? 'discarded' : 'failed',
    errorType,
    error: new Error(`${code} ${errorType}: ${details}`),
  };
}
