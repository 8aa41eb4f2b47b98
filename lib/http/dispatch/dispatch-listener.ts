import type { Duplex } from 'node:stream';
import type { DispatchController, DispatchHandler, DispatchListener } from './dispatch-port.js';

type Headers = Record<string, string | string[]>;

/** What a handler of the newer kind has, when it has it. */
interface NewHandler {
  onRequestStart?(controller: DispatchController, context: object): void;
  onRequestUpgrade?(controller: DispatchController, status: number, headers: Headers, socket: Duplex): void;
  onResponseStarted?(): void;
  onResponseStart?(controller: DispatchController, status: number, headers: Headers, statusText?: string): void;
  onResponseData?(controller: DispatchController, chunk: Buffer): void;
  onResponseEnd?(controller: DispatchController, trailers: Headers): void;
  onResponseError?(controller: DispatchController, error: Error): void;
}

/** A handler of whatever kind, as one of the older kind. */
export function listenerOf(handler: DispatchHandler): DispatchListener {
  return typeof handler.onRequestStart === 'function' ? new NewListener(handler) : new OldListener(handler);
}

/** A handler of the older kind may lack what its request can't come to. */
class OldListener implements DispatchListener {
  constructor(private readonly handler: DispatchHandler) {}

  onConnect(abort: (reason?: Error) => void): void {
    this.handler.onConnect?.(abort);
  }

  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    this.handler.onResponseStarted?.();
    return this.handler.onHeaders?.(status, headers as Buffer[], resume, statusText) ?? true;
  }

  onData(chunk: Buffer): boolean {
    return this.handler.onData?.(chunk) ?? true;
  }

  onComplete(trailers: readonly Buffer[]): void {
    this.handler.onComplete?.(trailers as unknown as string[]);
  }

  onError(error: Error): void {
    this.handler.onError?.(error);
  }

  onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    if (this.handler.onUpgrade === undefined) socket.destroy();
    else this.handler.onUpgrade(status, headers as Buffer[], socket);
  }
}

/** One of the newer kind, and its controller. */
class NewListener implements DispatchListener, DispatchController {
  aborted = false;
  reason: Error | null = null;
  paused = false;
  rawHeaders: readonly Buffer[] | null = null;
  rawTrailers: readonly Buffer[] | null = null;
  private end: ((reason?: Error) => void) | undefined;
  private goOn: (() => void) | undefined;

  constructor(private readonly handler: NewHandler) {}

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.goOn?.();
  }

  abort(reason: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.end?.(reason);
  }

  onConnect(abort: (reason?: Error) => void): void {
    this.end = abort;
    this.handler.onRequestStart?.(this, {});
  }

  onHeaders(status: number, headers: readonly Buffer[], resume: () => void, statusText: string): boolean {
    this.goOn = resume;
    this.rawHeaders = headers;
    this.handler.onResponseStarted?.();
    this.handler.onResponseStart?.(this, status, parsed(headers), statusText);
    return !this.paused;
  }

  onData(chunk: Buffer): boolean {
    this.handler.onResponseData?.(this, chunk);
    return !this.paused;
  }

  onComplete(trailers: readonly Buffer[]): void {
    this.rawTrailers = trailers;
    this.handler.onResponseEnd?.(this, parsed(trailers));
  }

  onError(error: Error): void {
    this.handler.onResponseError?.(this, error);
  }

  onUpgrade(status: number, headers: readonly Buffer[], socket: Duplex): void {
    this.rawHeaders = headers;
    if (this.handler.onRequestUpgrade === undefined) socket.destroy();
    else this.handler.onRequestUpgrade(this, status, parsed(headers), socket);
  }
}

/** Names in lower case; a name that comes several times has a list. */
function parsed(raw: readonly Buffer[]): Headers {
  const headers: Headers = Object.create(null) as Headers;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at]?.toString('latin1').toLowerCase() ?? '';
    const value = raw[at + 1]?.toString('latin1') ?? '';
    const known = headers[name];
    headers[name] = known === undefined ? value : Array.isArray(known) ? [...known, value] : [known, value];
  }
  return headers;
}
