import type { Duplex } from 'node:stream';
import { outcomeOfStatus, type InstancePick, type Outcome, type PickContext } from '../../balancing/index.js';
import type { AddressResolver } from '../../backend/index.js';
import { resultOfError } from '../../discovery/index.js';
import type { Attempt } from '../../model/index.js';
import type { AttemptFollower, AttemptReason, CallFollower } from '../../observability/index.js';
import { pickNext, toAttempt, withAttempts } from '../attempts.js';
import { basePath } from '../address.js';
import { OVERTAKEN, resultOfAnswer } from '../call-result.js';
import type { ServiceCallee } from '../callees.js';
import { isRepeatable, judge, retryAfterMs } from '../failover.js';
import {
  Hop,
  markUnsent,
  type HopListener,
  type PooledTransport,
  type WireRequestOptions,
} from '../transport/index.js';
import type { DispatchListener, DispatchOptions } from './dispatch-port.js';
import { closingByWrites, followSocket } from './socket-end.js';
import { headerOf, isEventStream, withMore, type RequestHeaders } from './request-headers.js';

/** What is known of a request besides what undici was given. */
export interface DispatchMore {
  /** What the pick goes by. */
  readonly given?: PickContext | undefined;
  /** The body, as often as one likes. */
  readonly body?: (() => unknown) | undefined;
  /** Whether the service's policy runs it already. */
  readonly isRun?: boolean;
  /** The instance that it must go to, with the path as it is: where a redirect leads. */
  readonly pinned?: string | undefined;
  /** Told of each try. */
  readonly observed?: CallFollower | undefined;
  /** Told of the call when it goes to an instance. */
  readonly started?: (call: DispatchedCall) => void;
  /** Who knows the instances behind the host that it goes to; undefined: it is a service. */
  readonly resolver?: AddressResolver | undefined;
  /** The scheme of the address that a resolver knows. */
  readonly scheme?: string | undefined;
  /** Of a request that is sent to several instances at once. */
  readonly line?: LineOfCall;
}

/** One of several lines of a request, each with its own instance. */
export interface LineOfCall {
  readonly reason: AttemptReason;
  /** What they have tried, all of them. */
  readonly tried: Set<string>;
  /** Whether no other line may still succeed. */
  readonly isAlone: () => boolean;
}

/** Who dispatches calls. */
export interface DispatchOwner {
  readonly pools: PooledTransport;
  /** Milliseconds, of any origin. */
  now(): number;
  /** The headers of a try, or a promise of them. */
  headersFor(
    callee: ServiceCallee,
    context: PickContext,
    headers: RequestHeaders,
    pick: InstancePick,
    timeoutMs: number,
  ): RequestHeaders | Promise<RequestHeaders>;
  /** Keeps account of what may last. */
  opened(call: DispatchedCall): void;
  ended(call: DispatchedCall): void;
}

/**
 * One request that came from a dispatcher's caller, whatever instance it goes to. It is tried elsewhere as any other call is,
 * as long as its caller has heard nothing of an answer; and it counts as under way until its answer has ended: a stream, or
 * the socket that it became.
 */
export class DispatchedCall implements HopListener {
  private pick: InstancePick;
  private hop: Hop | undefined;
  private tried: Set<string> | undefined;
  /** Of the next try. */
  private reason: AttemptReason;
  private attempts: Attempt[] | undefined;
  private readonly deadline: number;
  /** Its caller has the means to end it. */
  private isConnected = false;
  /** Its caller has heard of an answer. */
  private isAnswered = false;
  private isOver = false;
  private socket: Duplex | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Told of the try that is under way. */
  private followed: AttemptFollower | undefined;
  private lasts = false;

  constructor(
    private readonly owner: DispatchOwner,
    private readonly callee: ServiceCallee,
    private readonly context: PickContext,
    private readonly request: DispatchOptions,
    private readonly listener: DispatchListener,
    first: InstancePick,
    private readonly more: DispatchMore,
  ) {
    this.pick = first;
    this.tried = more.line?.tried;
    this.reason = more.line?.reason ?? 'first';
    const { totalTimeoutMs } = callee.options;
    this.deadline = totalTimeoutMs === 0 ? Infinity : owner.now() + totalTimeoutMs;
  }

  /** The instance that it went to last. */
  get target(): string {
    return this.pick.instance.url;
  }

  /** Sends it to the instance that was picked. */
  send(): void {
    const { owner, callee, context, request, more, reason } = this;
    const { instance } = this.pick;
    more.line?.tried.add(instance.url);
    this.followed = more.observed?.attempt({ instance, reason });
    this.reason = 'retry';
    const headers = owner.headersFor(callee, context, request.headers, this.pick, this.timeLeft());
    if (!(headers instanceof Promise)) return this.sendWith(headers);
    headers.then(
      (ready) => {
        if (!this.isOver) this.sendWith(ready);
      },
      (error: unknown) => this.fail(error as Error, 'cancelled'),
    );
  }

  /** Ends what lasts: a socket, or a stream of events. */
  closeLasting(): void {
    if (this.lasts) this.abort(Object.assign(new Error('the app shuts down'), { code: 'ECONNRESET' }));
  }

  onSent(): void {
    if (this.isConnected) return;
    this.isConnected = true;
    this.listener.onConnect(this.abort);
  }

  onInformation(status: number, headers: readonly Buffer[], statusText: string): void {
    this.listener.onHeaders(status, headers, NOTHING, statusText);
  }

  onHead(hop: Hop, status: number, headers: readonly Buffer[], statusText: string): boolean {
    clearTimeout(this.timer);
    const { retry } = this.callee.options;
    const outcome = outcomeOfStatus(status);
    if (outcome === 'gateway-failure') this.callee.balancer.pushBack(this.pick.endpoint, pauseAskedFor(headers));
    if (retry.statuses.includes(status)) {
      if (this.mayRepeat() && this.goElsewhere(outcome, status)) {
        hop.ignoreRest();
        return true;
      }
      if (this.more.line?.isAlone() === false) {
        hop.ignoreRest();
        this.fail(Object.assign(new Error(`answered ${status}`), { response: { status } }), outcome);
        return true;
      }
    }
    this.isAnswered = true;
    this.pick.answered(outcome);
    this.followed?.end(resultOfAnswer({ status }));
    this.followed = undefined;
    if (isEventStream(headers)) this.last();
    return this.listener.onHeaders(status, headers, this.resume, statusText);
  }

  onData(chunk: Buffer): boolean {
    return this.listener.onData(chunk);
  }

  onEnd(trailers: readonly Buffer[] = []): void {
    this.over('success');
    this.listener.onComplete(trailers);
  }

  onUpgrade(_hop: Hop, status: number, headers: readonly Buffer[], socket: Duplex): void {
    clearTimeout(this.timer);
    this.isAnswered = true;
    this.pick.answered('success');
    this.followed?.end({ outcome: 'success', status });
    this.followed = undefined;
    this.socket = socket;
    this.last();
    const isWebSocket = String(this.request.upgrade).toLowerCase() === 'websocket';
    followSocket(socket, { isClosing: isWebSocket ? closingByWrites(socket) : undefined }, (brokenOffBy) =>
      this.over(brokenOffBy === undefined ? 'success' : 'connection-failure'),
    );
    this.listener.onUpgrade(status, headers, socket);
  }

  /** The head of the answer took too long. */
  timeOut(): void {
    const hop = this.hop;
    const error = Object.assign(new Error(`no answer within ${this.callee.options.timeoutMs} ms`), {
      name: 'HeadersTimeoutError',
      code: 'UND_ERR_HEADERS_TIMEOUT',
    });
    hop?.cancel(error);
    this.onFailure(error);
  }

  onFailure(error: Error): void {
    clearTimeout(this.timer);
    const { options } = this.callee;
    const wasUnsent = this.hop?.wasSent === false;
    if (wasUnsent) markUnsent(error);
    const { outcome, elsewhere } = judge(error, this.request.method, options.retry);
    const isReplayable = wasUnsent || this.mayReplay();
    if (!this.isAnswered && elsewhere !== 'never' && isReplayable && this.goElsewhere(outcome, error, elsewhere))
      return;
    this.fail(error, outcome);
  }

  /** Another line has answered. */
  overtake(): void {
    if (this.isOver) return;
    this.followed?.end(OVERTAKEN);
    this.over('overtaken');
    this.hop?.cancel();
  }

  /** The caller has enough. */
  readonly abort = (reason?: Error): void => {
    if (this.isOver) return;
    const { hop, socket } = this;
    const error =
      reason ?? Object.assign(new Error('Request aborted'), { name: 'AbortError', code: 'UND_ERR_ABORTED' });
    this.followed?.end({ ...resultOfError(error), outcome: 'discarded' });
    this.over('cancelled');
    if (socket !== undefined) {
      socket.destroy();
      return;
    }
    hop?.cancel(error);
    this.listener.onError(error);
  };

  private readonly resume = (): void => this.hop?.resume();

  private sendWith(headers: RequestHeaders): void {
    const { request, owner, more, followed } = this;
    const { url, metadata } = this.pick.instance;
    try {
      const base = more.pinned === undefined ? basePath(metadata[this.callee.options.basePathMetadata]) : '';
      const { deadline } = this;
      // One number for both: undici makes its timer anew for another one. What bounds the head is the call's own.
      const bodyTimeout = request.bodyTimeout ?? BODY_TIMEOUT_MS;
      const wire: WireRequestOptions = {
        origin: url,
        path: base + request.path,
        method: request.method,
        headers: followed?.headers === undefined ? headers : withMore(headers, followed.headers),
        body: more.body === undefined ? request.body : more.body(),
        upgrade: request.upgrade,
        headersTimeout: request.headersTimeout ?? bodyTimeout,
        bodyTimeout,
        query: request.query,
        idempotent: request.idempotent,
        blocking: request.blocking,
        reset: request.reset,
        expectContinue: request.expectContinue,
        servername: request.servername,
        maxRedirections: request.maxRedirections,
      };
      const hop = new Hop(owner.pools.poolFor(url), wire, this);
      this.hop = hop;
      const timeoutMs = this.timeLeft();
      if (timeoutMs > 0 && (request.headersTimeout === undefined || deadline !== Infinity)) {
        this.timer = setTimeout(onTimeout, timeoutMs, this);
      }
      if (followed === undefined) hop.start();
      else followed.run(() => hop.start());
    } catch (error) {
      this.fail(error as Error, 'cancelled');
    }
  }

  /** How long the head of an answer may take; 0: for ever. */
  private timeLeft(): number {
    const { timeoutMs } = this.callee.options;
    if (this.deadline === Infinity) return timeoutMs;
    const left = Math.max(1, Math.ceil(this.deadline - this.owner.now()));
    return timeoutMs === 0 ? left : Math.min(timeoutMs, left);
  }

  private mayRepeat(): boolean {
    return isRepeatable(this.request.method, this.callee.options.retry) && this.mayReplay();
  }

  /** Whether the body can be sent after something of it may have been. */
  private mayReplay(): boolean {
    return this.more.body !== undefined || isPlainBody(this.request.body);
  }

  /** Goes on with another instance, if there is one that may be tried. */
  private goElsewhere(
    outcome: Outcome,
    reason: Error | number,
    elsewhere: 'within-budget' | 'always' = 'within-budget',
  ): boolean {
    const { callee, context, owner } = this;
    const { instance } = this.pick;
    this.tried ??= new Set();
    this.tried.add(instance.url);
    const next = pickNext(
      callee,
      { everyFailure: false, now: () => owner.now(), deadline: this.deadline, context, observed: this.more.observed },
      elsewhere,
      this.tried,
    );
    if (next === undefined) return false;
    this.note(reason);
    this.followed?.end(typeof reason === 'number' ? resultOfAnswer({ status: reason }) : resultOfError(reason));
    this.pick.end(outcome);
    this.pick = next;
    this.send();
    return true;
  }

  private note(reason: Error | number): void {
    const error = typeof reason === 'number' ? new Error(`answered ${reason}`) : reason;
    this.attempts ??= [];
    this.attempts.push(toAttempt(this.pick.instance, error));
  }

  private fail(error: Error, outcome: Outcome): void {
    if (this.isOver) return;
    this.followed?.end(resultOfError(error));
    this.over(outcome);
    if (!this.isAnswered && outcome !== 'cancelled') {
      this.note(error);
      withAttempts(error, this.attempts ?? [], this.callee, outcome);
    }
    this.listener.onError(error);
  }

  private last(): void {
    this.lasts = true;
    this.owner.opened(this);
  }

  private over(outcome: Outcome): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.timer);
    this.pick.end(outcome);
    if (this.lasts) this.owner.ended(this);
  }
}

/** How long an answer may pause, in milliseconds: undici's own limit. */
const BODY_TIMEOUT_MS = 300_000;

/** Whether a body is there as a whole. */
export function isPlainBody(body: unknown): boolean {
  return body === undefined || body === null || typeof body === 'string' || body instanceof Uint8Array;
}

const NOTHING = (): void => {};

function onTimeout(call: DispatchedCall): void {
  call.timeOut();
}

function pauseAskedFor(headers: readonly Buffer[]): number {
  const value = headerOf(headers, 'retry-after');
  return value === undefined ? 0 : retryAfterMs({ response: { headers: { 'retry-after': value } } });
}
