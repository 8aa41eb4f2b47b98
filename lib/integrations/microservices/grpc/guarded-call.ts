import { codeOf, messageOf } from '../../../model/index.js';
import { CANCELLED, OK, RESOURCE_EXHAUSTED, UNAVAILABLE } from './grpc-outcome.js';
import type { CallStatus } from './grpc-port.js';
import type { GrpcService } from './grpc-service.js';

/** A call as its channel makes it, which somebody may end before it was started. */
interface EndableCall {
  cancelWithStatus(code: number, details: string): void;
}

/**
 * A call within its service's bulkhead, run by its policy: it is started when it may be, and has its place until its status is
 * there. grpc-js keeps what is sent meanwhile, but not how a call ends that never began.
 */
export class GuardedCall {
  private readonly controller = new AbortController();
  private isStarted = false;
  private isOver = false;
  /** How it ended before it was started. */
  private cancelled: CallStatus | undefined;
  private ended: ((status: CallStatus) => void) | undefined;

  /** @param tell gets the status of the call, once */
  constructor(
    private readonly service: GrpcService,
    private readonly call: EndableCall,
    private readonly tell: (status: CallStatus) => void,
  ) {
    const { cancelWithStatus } = call;
    // The caller's word, and that of the call's deadline.
    call.cancelWithStatus = (code, details) => {
      if (!this.isStarted) {
        const status = (this.cancelled ??= this.statusOf(code, details));
        // Not while the caller is still at it, as grpc-js.
        process.nextTick(() => this.over(status));
      }
      cancelWithStatus.call(call, code, details);
      this.controller.abort();
    };
  }

  /** @param start starts the call */
  async run(start: () => void): Promise<void> {
    const { service, controller } = this;
    let last: CallStatus | undefined;
    /** What the policy hears; all else is its own word. */
    const told = new Set<unknown>();
    const fail = (error: Error): never => {
      told.add(error);
      throw error;
    };
    try {
      const lease = service.acquire();
      try {
        await service.called.run(async (signal) => {
          if (this.isStarted) fail(new Error('a gRPC call is started once, and can not be repeated by a policy'));
          if (controller.signal.aborted) fail(new Error('the call was cancelled'));
          last = await this.once(start, signal);
          if (last.code !== OK) fail(Object.assign(new Error(`${last.code} ${last.details}`), last));
        }, controller.signal);
      } finally {
        lease.release();
      }
    } catch (error) {
      if (!told.has(error)) last = this.statusOf(codeFor(error, this.isStarted), messageOf(error));
    }
    this.over(this.cancelled ?? last ?? this.statusOf(UNAVAILABLE, 'its policy has not made the call'));
  }

  /** Its status, as grpc-js has it. */
  receive(status: CallStatus): void {
    if (this.ended === undefined) this.over(status);
    else this.ended(status);
  }

  private once(start: () => void, signal: AbortSignal | undefined): Promise<CallStatus> {
    const cancel = (): void => this.call.cancelWithStatus(CANCELLED, 'the policy has ended the call');
    return new Promise((resolve) => {
      this.ended = (status) => {
        signal?.removeEventListener('abort', cancel);
        resolve(status);
      };
      this.isStarted = true;
      signal?.addEventListener('abort', cancel);
      start();
    });
  }

  private over(status: CallStatus): void {
    if (this.isOver) return;
    this.isOver = true;
    this.tell(status);
  }

  private statusOf(code: number, details: string): CallStatus {
    return { code, details, metadata: new this.service.library.Metadata() };
  }
}

function codeFor(error: unknown, wasStarted: boolean): number {
  if (codeOf(error) === 'BULKHEAD_FULL') return RESOURCE_EXHAUSTED;
  return wasStarted ? CANCELLED : UNAVAILABLE;
}
