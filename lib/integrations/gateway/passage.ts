import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../backend/index.js';
import {
  markUnsent,
  type HopListener,
  type HttpTransport,
  type RawExchange,
  type WireRequest,
} from '../../http/index.js';
import { codeOf } from '../../model/index.js';
import type { HeaderChanges, HeaderList } from './header-list.js';
import { responseHeaders, trailerPairs, writeResponseHead, type ResponseHead } from './response-head.js';
import { TrailedExchange } from './trailed-exchange.js';

/** What one try of a request needs. */
export interface PassageParts {
  readonly transport: HttpTransport;
  readonly clock: Clock;
  readonly origin: string;
  readonly request: WireRequest;
  /** What the request ends with, where it may have trailers: asked for when its body has ended. */
  readonly trailers: (() => HeaderList) | undefined;
  readonly response: ServerResponse;
  /** Until the head of the answer is there, with no piece of the request taken meanwhile, in milliseconds; 0: for ever. */
  readonly timeoutMs: number;
  /** Answers that are held back, since another instance may give a better one. */
  readonly held: readonly number[];
  readonly changes: HeaderChanges | undefined;
  /** Called before the head is written: the place for headers of the gateway's own. */
  readonly onAnswer: () => void;
}

/** What was answered. */
export interface Answered {
  readonly status: number;
  /** Resolves when it has ended, with why it broke off if it did. */
  readonly finished: Promise<Error | undefined>;
}

/** An answer that isn't given yet: thrown, in the shape of an HTTP client's error, for the one who judges tries. */
export class HeldAnswer extends Error {
  readonly response: { readonly status: number; readonly headers: object; readonly data: { destroy(): void } };

  constructor(
    readonly passage: Passage,
    head: ResponseHead,
    cancel: () => void,
  ) {
    super(`answered ${head.status}`);
    const headers: Record<string, string> = {};
    for (let i = 0; i + 1 < head.raw.length; i += 2) {
      if (head.raw[i]?.toString('latin1').toLowerCase() === 'retry-after') {
        headers['retry-after'] = head.raw[i + 1]?.toString('latin1') ?? '';
      }
    }
    this.response = { status: head.status, headers, data: { destroy: cancel } };
  }
}

/** Whoever asked has gone away. */
export class ClientGone extends Error {}

/**
 * One try of a request at one instance, and its answer as it comes: each piece is written on at once, and the instance
 * waits when whoever asked reads slowly.
 */
export class Passage implements HopListener {
  /** Resolves when the answer has ended, with why it broke off if it did. */
  readonly finished: Promise<Error | undefined>;
  private finish: (error?: Error) => void = () => {};
  private settle: ((answered: Answered) => void) | undefined;
  private fail: ((error: unknown) => void) | undefined;
  private exchange: RawExchange | undefined;
  private timer: Timer | undefined;
  private progressAt = 0;
  private hints = 0;
  private head: ResponseHead | undefined;
  private answered = false;
  private wrote = false;
  /** The length of an answer that is small enough to be written in one piece with its head; -1 for any other. */
  private smallLength = -1;
  /** Its body, once it has come. */
  private whole: Buffer | undefined;

  constructor(private readonly parts: PassageParts) {
    this.finished = new Promise((resolve) => (this.finish = resolve));
  }

  /** Sends it. @returns once the head of an answer is written. @throws what the try failed by, or a {@link HeldAnswer} */
  start(): Promise<Answered> {
    const { transport, origin, request, trailers, timeoutMs, clock } = this.parts;
    return new Promise((resolve, reject) => {
      this.settle = resolve;
      this.fail = reject;
      if (timeoutMs > 0) {
        this.progressAt = clock.now();
        this.timer = clock.setTimer(this.onTime, timeoutMs);
      }
      try {
        this.exchange =
          trailers === undefined
            ? transport.dispatch?.(origin, request, this)
            : new TrailedExchange(origin, request, trailers, transport.tls, this);
      } catch (error) {
        this.end(error);
      }
    });
  }

  /** A piece of the request was taken. */
  progressed(): void {
    if (this.timer !== undefined) this.progressAt = this.parts.clock.now();
  }

  /** Gives it up. */
  cancel(error: Error): void {
    this.exchange?.cancel();
    this.end(error);
  }

  /** Gives an answer that was held back. */
  release(): void {
    if (this.head === undefined) return;
    if (this.write(this.head)) this.exchange?.resume();
  }

  onInformation(status: number, headers: readonly Buffer[]): void {
    if (status !== 103 || this.hints >= MAX_HINTS || this.parts.response.headersSent) return;
    this.hints += 1;
    const links = trailerPairs(headers).filter(([name]) => name.toLowerCase() === 'link');
    try {
      if (links.length > 0) this.parts.response.writeEarlyHints({ link: links.map(([, link]) => link) });
    } catch {
      // A hint that is none is no loss.
    }
  }

  onHead(_hop: unknown, status: number, raw: readonly Buffer[], statusText: string): boolean {
    this.timer?.cancel();
    this.timer = undefined;
    const head: ResponseHead = { status, raw, statusText };
    if (this.parts.held.includes(status)) {
      this.head = head;
      this.fail?.(new HeldAnswer(this, head, () => this.exchange?.cancel()));
      this.fail = undefined;
      return false;
    }
    return this.write(head);
  }

  onData(chunk: Buffer): boolean {
    const { response } = this.parts;
    if (!this.wrote && chunk.length === this.smallLength) {
      this.whole = chunk;
      return true;
    }
    this.wrote = true;
    if (response.destroyed || response.write(chunk)) return true;
    response.once('drain', this.onDrain);
    return false;
  }

  onEnd(trailers: readonly Buffer[]): void {
    const { response } = this.parts;
    try {
      if (trailers.length > 0) response.addTrailers(trailerPairs(trailers));
    } catch {
      // What is no header is left out: the answer itself is complete.
    }
    if (this.whole === undefined) response.end();
    // As a text it goes out with the head, in one piece and one call to the system.
    else response.end(this.whole.toString('latin1'), 'latin1');
    this.finish();
  }

  onFailure(error: Error): void {
    if (this.answered) {
      // An ordinary end would look like a complete answer.
      this.parts.response.destroy();
      this.finish(error);
    } else {
      // What undici refuses to send no instance would get.
      if (this.exchange?.wasSent !== true && codeOf(error) !== 'UND_ERR_INVALID_ARG') markUnsent(error);
      this.end(error);
    }
  }

  /** @returns whether the body may come */
  private write(head: ResponseHead): boolean {
    const { response, changes, onAnswer } = this.parts;
    try {
      onAnswer();
      writeResponseHead(response, head, responseHeaders(head.raw, changes));
    } catch (error) {
      this.exchange?.cancel();
      this.end(error);
      return true;
    }
    this.answered = true;
    this.smallLength = smallLengthOf(head);
    this.settle?.({ status: head.status, finished: this.finished });
    // What a stream says first may be long in coming, and its reader waits for the head.
    queueMicrotask(this.flush);
    return true;
  }

  private readonly flush = (): void => {
    const { response } = this.parts;
    if (this.wrote || response.writableEnded) return;
    this.wrote = true;
    if (this.whole === undefined) response.flushHeaders();
    else response.write(this.whole);
    this.whole = undefined;
  };

  private readonly onDrain = (): void => this.exchange?.resume();

  private readonly onTime = (): void => {
    const { clock, timeoutMs } = this.parts;
    const left = this.progressAt + timeoutMs - clock.now();
    if (left > 0) this.timer = clock.setTimer(this.onTime, left);
    else this.cancel(Object.assign(new Error(`timeout of ${timeoutMs}ms exceeded`), { code: 'ECONNABORTED' }));
  };

  private end(error: unknown): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.fail?.(error);
    this.fail = undefined;
    this.finish(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Early hints of one answer that are passed on: what nobody reads yet is kept in memory, and a service may send them without an end. */
const MAX_HINTS = 16;

/** The longest body that is worth making a text of, in bytes. */
const SMALL = 16 * 1024;

function smallLengthOf({ raw }: ResponseHead): number {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    // `content-length`
    if (raw[i]?.length !== 14) continue;
    if (raw[i]?.toString('latin1').toLowerCase() !== 'content-length') continue;
    const length = Number(raw[i + 1]?.toString('latin1'));
    return length > 0 && length <= SMALL ? length : -1;
  }
  return -1;
}
