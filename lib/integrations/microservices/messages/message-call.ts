import type { Observer } from 'rxjs';
import { resultOfError } from '../../../discovery/index.js';
import { pickFirst, resultOfAnswer, tryEach, type CallManner } from '../../../http/index.js';
import { FIRST_TRY, type PickContext } from '../../../balancing/index.js';
import { NoInstanceError, type ServiceInstance } from '../../../model/index.js';
import type { Timer } from '../../../backend/index.js';
import type { CallFollower } from '../../../observability/index.js';
import type { Answer, InstanceClient, Packet } from './instance-client.js';
import { givenUp, timedOut, unsent } from './message-error.js';
import type { MessageService } from './message-service.js';

/** How a try ended, in the words of HTTP: what is judged. */
interface Ended {
  readonly status: number;
}

const ANSWERED: Ended = Object.freeze({ status: 200 });
/** An exception that the service has thrown on purpose. */
const REFUSED: Ended = Object.freeze({ status: 400 });
/** An exception that nobody has caught. */
const FAILED: Ended = Object.freeze({ status: 500 });

/** What Nest answers for exceptions that it doesn't know. */
const INTERNAL = 'Internal server error';

/** Who gets the answers; undefined for an event, which has none. */
type Caller = Pick<Observer<unknown>, 'next' | 'error' | 'complete'> | undefined;

/**
 * One message and its answers, whichever instance they come from. It is tried elsewhere as long as no answer has come: always when
 * it was surely not sent, and for patterns that may be sent twice when the connection broke.
 */
export class MessageCall {
  private readonly signal = { aborted: false };
  /** Of the try that is under way. */
  private end: ((error: Error) => void) | undefined;
  private forget: (() => void) | undefined;
  private deadline = Infinity;
  /** Its caller has heard of an answer. */
  private isAnswered = false;
  private context: PickContext = FIRST_TRY;
  /** Of a call that somebody runs. */
  private controller: AbortController | undefined;

  constructor(
    private readonly service: MessageService,
    private readonly packet: Packet,
    private readonly pattern: string,
    /** Whether it may be sent again when it may have been received. */
    private readonly isIdempotent: boolean,
    private readonly caller: Caller,
  ) {}

  /** Sends it. Resolves when the first answer has come. @throws what it failed by, unless that was an instance's answer */
  async send(): Promise<void> {
    const { service, pattern } = this;
    const { app, name } = service;
    const observed = app.calls.begin?.({ protocol: 'message', service: name, method: pattern });
    try {
      const ended = await this.runTries(observed);
      observed?.end(resultOfAnswer(ended));
    } catch (error) {
      observed?.end(resultOfError(error));
      throw error instanceof NoInstanceError ? await app.views.explained(error) : error;
    }
  }

  /** Nobody waits for it any more. */
  giveUp(): void {
    this.signal.aborted = true;
    this.endTry();
    this.controller?.abort();
  }

  private endTry(): void {
    this.forget?.();
    this.end?.(givenUp());
  }

  /** Within the service's bulkhead, and run by its policy, until the first answer has come. */
  private async runTries(observed: CallFollower | undefined): Promise<Ended> {
    const { service } = this;
    if (!service.isKnown) await service.whenKnown();
    const { called } = service;
    if (called.isFree) return this.tryInstances(observed);
    this.controller = new AbortController();
    if (this.signal.aborted) throw givenUp();
    return called.run(async (signal) => {
      if (this.isAnswered) throw new Error('an answer has come, and the call can not be repeated');
      const give = (): void => this.endTry();
      signal?.addEventListener('abort', give);
      try {
        return await this.tryInstances(observed);
      } finally {
        signal?.removeEventListener('abort', give);
      }
    }, this.controller.signal);
  }

  private async tryInstances(observed: CallFollower | undefined): Promise<Ended> {
    const { called, options, app } = this.service;
    const { totalTimeoutMs } = options;
    const now = (): number => app.clock.now();
    if (totalTimeoutMs > 0) this.deadline = now() + totalTimeoutMs;
    this.context = this.service.contextOf(this.packet);
    const manner: CallManner = {
      method: this.isIdempotent ? 'get' : 'post',
      isReplayable: () => true,
      everyFailure: false,
      deadline: this.deadline,
      context: this.context,
      now,
      signal: this.signal,
      observed,
    };
    return tryEach(called, manner, pickFirst(called, this.context), this.attempt);
  }

  private readonly attempt = (
    instance: ServiceInstance,
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<Ended> =>
    new Promise((resolve, reject) => {
      const { service, signal } = this;
      if (signal.aborted) throw givenUp();
      const client = service.clientOf(instance);
      let timer: Timer | undefined;
      let isConnected = false;
      this.end = (error) => {
        timer?.cancel();
        this.end = undefined;
        reject(error);
      };
      const timeoutMs = service.timeLeft(this.deadline);
      if (timeoutMs > 0) {
        timer = service.app.clock.setTimer(() => {
          this.forget?.();
          if (!isConnected) service.discard(client);
          const reason = `no ${isConnected ? 'answer' : 'connection'} within ${timeoutMs} ms`;
          this.end?.(isConnected ? timedOut(reason) : unsent(reason, { code: 'ETIMEDOUT' }));
        }, timeoutMs);
      }
      const ended = (result: Ended): void => {
        timer?.cancel();
        this.end = undefined;
        resolve(result);
      };
      client.connect().then(
        () => {
          isConnected = true;
          // It may have ended meanwhile.
          if (this.end === undefined || signal.aborted) return;
          const packet = service.packetFor(this.packet, this.context, headers);
          if (this.caller === undefined) this.emitBy(client, packet, ended);
          else this.forget = client.send(packet, this.answered(this.caller, ended));
        },
        (error: Error) => this.end?.(error),
      );
    });

  private emitBy(client: InstanceClient, packet: Packet, ended: (result: Ended) => void): void {
    client.emit(packet).then(
      () => ended(ANSWERED),
      (error: Error) => this.end?.(error),
    );
  }

  private answered(caller: NonNullable<Caller>, ended: (result: Ended) => void): (answer: Answer) => void {
    let isFirst = true;
    return ({ err, response, isDisposed }: Answer) => {
      if (this.signal.aborted) return;
      const wasFirst = isFirst;
      isFirst = false;
      // Of a connection that broke, and not an instance's word.
      if (err instanceof Error && wasFirst) {
        this.end?.(err);
        return;
      }
      const isError = err !== undefined && err !== null && err !== false;
      this.isAnswered = true;
      if (wasFirst) ended(isError ? (isInternal(err) ? FAILED : REFUSED) : ANSWERED);
      if (isError) {
        caller.error(err);
        return;
      }
      if (response !== undefined || isDisposed !== true) caller.next(response);
      if (isDisposed === true) caller.complete();
    };
  }
}

function isInternal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'message' in error && error.message === INTERNAL;
}
