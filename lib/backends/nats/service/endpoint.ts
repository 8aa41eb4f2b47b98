import type { Clock } from '../../../backend/index.js';
import { defined, messageOf } from '../../../model/index.js';
import { NatsServiceError } from '../connection/errors.js';
import type { NatsHeaderMap } from '../connection/headers.js';
import type { NatsConnection, NatsRawMessage, NatsSubscription } from '../connection/port.js';
import type { EndpointInfo, EndpointStats } from './protocol.js';
import { createErrorResponse, NatsAnswerError, ServiceRequest, type ServiceResponse } from './request.js';
import type { EndpointConfig, ServiceHandler, ServiceMiddleware } from './service-options.js';

/** What an endpoint needs of its service. */
export interface EndpointContext {
  readonly connection: NatsConnection;
  readonly clock: Clock;
  readonly handlerTimeoutMs: number;
  readonly countErrorAnswers: boolean;
  readonly statsData: ((endpoint: Omit<EndpointStats, 'data'>) => unknown) | undefined;
  readonly isConnected: () => boolean;
  readonly send: (reply: string, response: ServiceResponse) => void;
  readonly onError: (error: unknown, endpoint: ServiceEndpoint) => void;
  /** The subscription ended by itself. */
  readonly onLost: (error: Error) => void;
}

const INTERNAL_ERROR = createErrorResponse(500, 'Internal Server Error');
const TOO_MANY = createErrorResponse(503, 'Too Many Pending Requests');
const TOO_SLOW = createErrorResponse(504, 'Handler Timeout');

/** One endpoint of a running service: its configuration, and what it has done so far. */
export class ServiceEndpoint {
  private requests = 0;
  private errors = 0;
  private lastError = '';
  private nanoseconds = 0;
  private pendingMessages = 0;
  private pendingBytes = 0;
  private readonly subscription: NatsSubscription;
  private onIdle = (): void => {};

  /** @internal made by `addEndpoint` */
  constructor(
    readonly config: EndpointConfig,
    private readonly handler: ServiceHandler,
    private readonly context: EndpointContext,
  ) {
    const { subject, queue } = config;
    this.subscription = context.connection.subscribe(subject, {
      ...defined({ queue }),
      callback: (error, message) => {
        if (error === null) this.receive(message);
        else context.onLost(error);
      },
    });
  }

  /** What INFO says of it; a copy. */
  get info(): EndpointInfo {
    const { name, subject, queue, metadata } = this.config;
    return Object.freeze({ name, subject, queue_group: queue ?? '', metadata });
  }

  /** What STATS says of it; a copy. */
  get stats(): EndpointStats {
    const { name, subject, queue } = this.config;
    const stats = {
      name,
      subject,
      queue_group: queue ?? '',
      num_requests: this.requests,
      num_errors: this.errors,
      last_error: this.lastError,
      processing_time: this.nanoseconds,
      average_processing_time: this.requests === 0 ? 0 : Math.floor(this.nanoseconds / this.requests),
    };
    const data = this.customData(stats);
    return Object.freeze(data === undefined ? stats : { ...stats, data });
  }

  /** Requests that are being dealt with. */
  get pending(): number {
    return this.pendingMessages;
  }

  /** Sets the counters to zero. */
  reset(): void {
    this.requests = 0;
    this.errors = 0;
    this.lastError = '';
    this.nanoseconds = 0;
  }

  /** @internal takes no further requests; resolves when those that were taken have ended */
  async drain(signal: AbortSignal): Promise<void> {
    const onAbort = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    // Without a connection there is nobody to wait for. It rejects when it is closed already: that is what is wanted.
    if (!this.subscription.isClosed() && this.context.isConnected()) {
      await Promise.race([this.subscription.drain().catch(() => {}), onAbort]);
    }
    if (!this.subscription.isClosed()) this.subscription.unsubscribe();
    const idle = new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
    if (this.pendingMessages > 0) await Promise.race([idle, onAbort]);
  }

  private receive(message: NatsRawMessage): void {
    const { pendingMessages, pendingBytes } = this.config;
    const bytes = message.data.length;
    this.requests += 1;
    const request = new ServiceRequest(message, (response) => this.send(message.reply, response));
    if (this.pendingMessages >= pendingMessages || this.pendingBytes + bytes > pendingBytes) {
      this.failed(new NatsAnswerError('too-many-pending', message.subject));
      this.tryAnswer(request, TOO_MANY);
      return;
    }
    this.pendingMessages += 1;
    this.pendingBytes += bytes;
    const began = process.hrtime.bigint();
    let ended = false;
    const end = (error?: unknown): void => {
      if (ended) return;
      ended = true;
      timer?.cancel();
      if (error !== undefined) this.fail(request, error);
      else if (request.answered === undefined && request.expectsAnswer) {
        this.fail(request, new NatsAnswerError('never-answered', message.subject));
      } else this.noteErrorAnswer(request.answered);
      this.nanoseconds += Number(process.hrtime.bigint() - began);
      this.pendingMessages -= 1;
      this.pendingBytes -= bytes;
      if (this.pendingMessages === 0) this.onIdle();
    };
    const { clock, handlerTimeoutMs } = this.context;
    const timer =
      handlerTimeoutMs > 0
        ? clock.setTimer(() => end(new NatsAnswerError('too-slow', message.subject)), handlerTimeoutMs)
        : undefined;
    try {
      const running = this.run(request);
      if (running === undefined) end();
      else
        running.then(
          () => end(),
          (error: unknown) => end(error ?? new Error('rejected without a reason')),
        );
    } catch (error) {
      end(error ?? new Error('thrown without a reason'));
    }
  }

  private run(request: ServiceRequest): Promise<void> | undefined {
    const { middlewares } = this.config;
    if (middlewares.length > 0) {
      return runChain(middlewares, this.handler, request).then((response) => request.answer(response));
    }
    const result: unknown = this.handler(request);
    return isThenable(result) ? Promise.resolve(result).then(() => {}) : undefined;
  }

  private send(reply: string | undefined, response: ServiceResponse): void {
    if (reply === undefined || reply === '') return;
    this.context.send(reply, response);
  }

  /** A handler failed: counted, and answered for without its details. */
  private fail(request: ServiceRequest, error: unknown): void {
    this.failed(error);
    if (error instanceof NatsServiceError) {
      const { status, description, data, headers } = error;
      this.tryAnswer(request, errorResponseOf(status, description, data, headers));
    } else {
      const slow = error instanceof NatsAnswerError && error.problem === 'too-slow';
      this.tryAnswer(request, slow ? TOO_SLOW : INTERNAL_ERROR);
    }
  }

  /** An error that the handler answered by itself. */
  private noteErrorAnswer(response: ServiceResponse | undefined): void {
    if (response?.error === undefined || !this.context.countErrorAnswers) return;
    this.errors += 1;
    this.lastError = `${response.error.code}:${response.error.description}`;
  }

  private failed(error: unknown): void {
    this.errors += 1;
    this.lastError = error instanceof Error ? `${error.name}: ${messageOf(error)}` : messageOf(error);
    this.context.onError(error, this);
  }

  private tryAnswer(request: ServiceRequest, response: ServiceResponse): void {
    if (request.answered !== undefined) return;
    try {
      request.answer(response);
    } catch (error) {
      this.context.onError(error, this);
    }
  }

  private customData(stats: Omit<EndpointStats, 'data'>): unknown {
    try {
      return this.context.statsData?.(Object.freeze({ ...stats }));
    } catch (error) {
      this.context.onError(error, this);
      return undefined;
    }
  }
}

/** The answer that a thrown error asks for; one that can't be sent is an internal error. */
function errorResponseOf(
  status: number,
  description: string,
  data: Uint8Array,
  headers: NatsHeaderMap,
): ServiceResponse {
  try {
    return createErrorResponse(status, description, { data, headers });
  } catch {
    return INTERNAL_ERROR;
  }
}

/** Runs the middlewares around the handler; whose answer is kept, not sent. */
async function runChain(
  middlewares: readonly ServiceMiddleware[],
  handler: ServiceHandler,
  request: ServiceRequest,
): Promise<ServiceResponse> {
  const step = async (index: number, present: ServiceRequest): Promise<ServiceResponse> => {
    const middleware = middlewares[index];
    if (middleware !== undefined) return middleware(present, (next) => step(index + 1, next ?? present));
    const captured = present.with({});
    await handler(captured);
    if (captured.answered === undefined) throw new NatsAnswerError('never-answered', request.subject);
    return captured.answered;
  };
  const response: unknown = await step(0, request);
  if (!isResponse(response)) throw new NatsAnswerError('never-answered', request.subject);
  return response;
}

function isResponse(value: unknown): value is ServiceResponse {
  return typeof value === 'object' && value !== null && 'data' in value && value.data instanceof Uint8Array;
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
