import { randomUUID } from 'node:crypto';
import {
  abandonOnAbort,
  Backoff,
  TroubleLog,
  ValueView,
  withDeadline,
  withoutSecrets,
  type Clock,
  type Logger,
  type View,
} from '../../../backend/index.js';
import { codeOf, DiscoveryError, messageOf } from '../../../model/index.js';
import type { ConnectionSettings } from './connection-options.js';
import { loadNatsLibrary, type NatsLibrary } from './connect.js';
import { DialSockets } from './dial-sockets.js';
import { reported, saying, toRequestError } from './errors.js';
import type { EncodableHeaders } from './headers.js';
import type { NatsConnection, NatsRawMessage, NatsSubscription } from './port.js';

/** How the connection is doing. */
export interface SessionState {
  readonly phase: 'connecting' | 'connected' | 'disconnected' | 'closed';
  /** Why there is no connection. */
  readonly error?: DiscoveryError;
}

/** What a session needs. */
export interface SessionOptions {
  readonly settings: ConnectionSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Name of the backend, for errors. */
  readonly backend: string;
  /** Name of the connection, unless the settings have one. */
  readonly name: string;
}

/** What a request may be told. */
export interface RequestOptions {
  readonly headers?: EncodableHeaders | undefined;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How long the drain of a connection may take, in milliseconds. */
const DRAIN_MS = 5000;

/**
 * The one connection of a backend: made, made again when the library gave it up, and told apart from no connection, so
 * that nothing waits for an answer that can't come. Nothing is sent while there is none: the libraries would keep it and
 * send it later, when it isn't wanted any more.
 */
export class NatsSession {
  private readonly stateView: ValueView<SessionState>;
  private readonly closing = new AbortController();
  private readonly backoff: Backoff;
  /** Told when the connection is lost. */
  private readonly waiting = new Set<(error: DiscoveryError) => void>();
  private readonly reports: TroubleLog;
  private readonly sockets = new DialSockets();
  private stopListening = (): void => {};
  private library: NatsLibrary | undefined;
  private present: NatsConnection | undefined;
  private loop: Promise<void> | undefined;
  /** Somebody has begun to connect. */
  private opened = false;
  private ending: Promise<void> | undefined;

  constructor(private readonly options: SessionOptions) {
    this.stateView = new ValueView<SessionState>({ phase: 'connecting' }, (error) =>
      options.logger.error(`${options.backend}: a listener of the connection's state threw: ${messageOf(error)}`),
    );
    this.reports = new TroubleLog(options.logger, options.clock, options.backend);
    this.backoff = new Backoff({
      clock: options.clock,
      initialMs: Math.min(200, options.settings.reconnectWaitMs),
      maxMs: options.settings.reconnectWaitMs,
      random: options.random,
    });
  }

  get state(): View<SessionState> {
    return this.stateView;
  }

  /**
   * The connection, for what this class doesn't do.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` while there is none, `BACKEND_CLOSED` after `close()`
   */
  get connection(): NatsConnection {
    const { phase, error } = this.stateView.current;
    if (this.closing.signal.aborted || phase === 'closed') throw this.closedError();
    if (this.present !== undefined && phase === 'connected') return this.present;
    const { backend } = this.options;
    const nobodyYet = this.opened ? 'no server has answered yet' : 'connect() was not called';
    const reason = error === undefined ? nobodyYet : error.message;
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `${backend} is not connected: ${reason}`, {
      backend,
      cause: error,
    });
  }

  /**
   * Loads the package and begins to connect.
   * @throws DiscoveryError `MISSING_PEER`; with `firstConnect: 'fail'` what the first try ended with
   */
  async open(): Promise<void> {
    const { settings, backend } = this.options;
    if (this.closing.signal.aborted) throw this.closedError();
    this.opened = true;
    if (settings.connection !== undefined) {
      this.loop ??= this.use(settings.connection);
      return;
    }
    this.library ??= await loadNatsLibrary(backend, settings.library);
    if (settings.firstConnect === 'fail') {
      const first = await this.dial(this.library).catch((error: unknown) => {
        throw this.connectError(error);
      });
      this.loop ??= this.keepConnected(this.library, first);
    } else {
      this.loop ??= this.keepConnected(this.library);
    }
  }

  /** Resolves when the first try to connect has ended, in whatever way. */
  async settled(signal?: AbortSignal): Promise<void> {
    if (!this.opened || this.stateView.current.phase !== 'connecting' || this.closing.signal.aborted) return;
    let unsubscribe = (): void => {};
    const settled = new Promise<void>((resolve) => {
      unsubscribe = this.stateView.subscribe(() => resolve());
    });
    try {
      await abandonOnAbort(settled, signal, `connecting to ${this.options.backend}`);
    } finally {
      unsubscribe();
    }
  }

  /**
   * Waits for a connection, not longer than for a request: a write right after a server's restart need not fail.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`, `BACKEND_CLOSED` or `ABORTED`
   */
  async usable(signal?: AbortSignal): Promise<void> {
    if (this.stateView.current.phase === 'connected' || this.closing.signal.aborted) return;
    const { clock, settings, backend } = this.options;
    await withDeadline(clock, settings.requestTimeoutMs, signal, `waiting for ${backend}`, (cut) =>
      this.connected(cut),
    ).catch((error: unknown) => {
      // Says what the last try ended with.
      if (codeOf(error) === 'TIMEOUT') void this.connection;
      throw error;
    });
  }

  /** Resolves when there is a connection, or rejects when it was closed or `signal` aborted. */
  async connected(signal?: AbortSignal): Promise<void> {
    if (this.closing.signal.aborted) throw this.closedError();
    if (this.stateView.current.phase === 'connected') return;
    let unsubscribe = (): void => {};
    const connected = new Promise<void>((resolve, reject) => {
      unsubscribe = this.stateView.subscribe(({ phase }) => {
        if (phase === 'connected') resolve();
        else if (phase === 'closed') reject(this.closedError());
      });
    });
    try {
      await abandonOnAbort(connected, signal, `connecting to ${this.options.backend}`);
    } finally {
      unsubscribe();
    }
  }

  /**
   * Asks and waits for one answer, not longer than the connection lasts.
   * @throws DiscoveryError, as `toRequestError` says; `BACKEND_UNAVAILABLE` as soon as the connection is lost
   */
  async request(subject: string, payload?: Uint8Array, options: RequestOptions = {}): Promise<NatsRawMessage> {
    if (this.stateView.current.phase === 'connecting') await this.settled(options.signal);
    const { connection } = this;
    const timeout = options.timeoutMs ?? this.options.settings.requestTimeoutMs;
    const { headers, signal } = options;
    const answer = connection.request(subject, payload, { timeout, ...(headers === undefined ? {} : { headers }) });
    try {
      return await this.whileConnected(answer, signal, `asking ${subject}`);
    } catch (error) {
      throw toRequestError(error, subject, timeout);
    }
  }

  /** @throws DiscoveryError `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED` or `BACKEND_CLOSED` */
  publish(subject: string, payload: Uint8Array | undefined, reply?: string): void {
    const { connection } = this;
    try {
      connection.publish(subject, payload, reply === undefined ? {} : { reply });
    } catch (error) {
      throw toRequestError(error, subject, 0);
    }
  }

  /** Calls back for every message; `callback` must not throw. The library restores it when it reconnects. */
  subscribe(subject: string, callback: (error: Error | null, message: NatsRawMessage) => void): NatsSubscription {
    const { connection } = this;
    try {
      return connection.subscribe(subject, { callback });
    } catch (error) {
      throw toRequestError(error, subject, 0);
    }
  }

  /** Waits until the server has got everything. */
  async flush(signal?: AbortSignal): Promise<void> {
    if (this.stateView.current.phase === 'connecting') await this.settled(signal);
    const { clock, settings, backend } = this.options;
    const flushed = this.connection.flush();
    await withDeadline(clock, settings.requestTimeoutMs, signal, `flushing to ${backend}`, () =>
      this.whileConnected(flushed, undefined, 'flushing'),
    ).catch((error: unknown) => {
      throw error instanceof DiscoveryError && error.code !== 'TIMEOUT' ? error : this.lostError(error);
    });
  }

  /** What the subjects for answers begin with. */
  get inboxPrefix(): string {
    return this.options.settings.inboxPrefix;
  }

  /** A subject of our own for answers. */
  inbox(): string {
    return `${this.inboxPrefix}.${randomUUID().replaceAll('-', '')}`;
  }

  /** Drains and closes a connection of our own; one that was given is left alone. Never rejects. */
  close(): Promise<void> {
    this.ending ??= this.end();
    return this.ending;
  }

  private async end(): Promise<void> {
    const { clock, settings, logger, backend } = this.options;
    const wasConnected = this.stateView.current.phase === 'connected';
    this.closing.abort();
    this.lose(this.closedError());
    const { present } = this;
    if (present !== undefined && settings.connection === undefined && !present.isClosed()) {
      try {
        // A drain waits for the server; without one there is nobody to wait for.
        if (wasConnected) await withDeadline(clock, DRAIN_MS, undefined, `draining ${backend}`, () => present.drain());
      } catch (error) {
        logger.warn(`${backend}: the connection could not be drained: ${saying(error)}`);
      }
      if (!present.isClosed()) await present.close().catch(() => {});
    }
    // Nothing of a dial that is under way is waited for.
    this.sockets.end();
    await this.loop;
    // Those who wait for the first connection hear of it before the listeners are forgotten.
    this.stateView.set({ phase: 'closed' });
    this.stateView.close();
  }

  private async keepConnected(library: NatsLibrary, first?: NatsConnection): Promise<void> {
    const { signal } = this.closing;
    let ready = first;
    while (!signal.aborted) {
      try {
        const connection = ready ?? (await this.dial(library));
        ready = undefined;
        this.backoff.reset();
        await this.use(connection);
      } catch (error) {
        if (signal.aborted) return;
        this.lose(this.connectError(error));
      }
      if (!signal.aborted) await this.backoff.wait(signal);
    }
    await ready?.close();
  }

  private async dial(library: NatsLibrary): Promise<NatsConnection> {
    const { settings, name, random } = this.options;
    const { sockets } = this;
    try {
      return await library.connect(settings, { name, random, sockets });
    } catch (error) {
      sockets.release();
      throw error;
    }
  }

  /** Uses a connection until it is closed for good. */
  private async use(connection: NatsConnection): Promise<void> {
    if (this.closing.signal.aborted) {
      if (connection !== this.options.settings.connection) await connection.close();
      return;
    }
    this.present = connection;
    const given = connection === this.options.settings.connection;
    // Listening before asking: what happens in between must not be missed.
    const told = this.listen(connection);
    if (given) {
      // It may be between two connections at this moment; a round trip tells.
      connection.flush().then(
        () => this.found(connection),
        () => {},
      );
    } else this.found(connection);
    const aborted = new Promise<void>((resolve) => {
      this.closing.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const reason = await (given ? Promise.race([connection.closed(), aborted]) : connection.closed());
    // A connection that is given lives on: its events would be kept for us for ever.
    this.stopListening();
    await told;
    if (this.closing.signal.aborted) return;
    this.present = undefined;
    this.lose(
      given
        ? new DiscoveryError('BACKEND_UNAVAILABLE', `${this.options.backend}: the app has closed its connection`)
        : this.connectError(reason ?? new Error('the connection was given up')),
    );
  }

  private async listen(connection: NatsConnection): Promise<void> {
    const { logger, backend } = this.options;
    try {
      const events = connection.status();
      this.stopListening = () => (events as { stop?: () => void }).stop?.();
      for await (const event of events) {
        if (this.closing.signal.aborted || connection !== this.present) return;
        if (event.type === 'disconnect') this.lose(this.lostError(undefined));
        else if (event.type === 'reconnect') this.found(connection);
        else if (event.type === 'error') {
          const { kind, text } = reported(event);
          this.reports.failed(`the server reported ${kind}`, text, 'more of it is told for another connection only');
        }
      }
    } catch (error) {
      logger.warn(`${backend}: the connection's events ended: ${saying(error)}`);
    }
  }

  private found(connection: NatsConnection): void {
    if (connection !== this.present || this.closing.signal.aborted || connection.isClosed()) return;
    if (this.stateView.current.phase === 'connected') return;
    this.reports.forget();
    this.stateView.set({ phase: 'connected' });
  }

  private lose(error: DiscoveryError): void {
    for (const fail of [...this.waiting]) fail(error);
    const { current } = this.stateView;
    if (current.phase === 'closed' || this.closing.signal.aborted) return;
    if (current.phase === 'disconnected' && current.error?.message === error.message) return;
    this.stateView.set({ phase: 'disconnected', error });
  }

  private async whileConnected<T>(operation: Promise<T>, signal: AbortSignal | undefined, what: string): Promise<T> {
    let fail: (error: DiscoveryError) => void = () => {};
    const lost = new Promise<never>((_, reject) => {
      fail = reject;
    });
    this.waiting.add(fail);
    try {
      return await abandonOnAbort(Promise.race([operation, lost]), signal, what);
    } finally {
      this.waiting.delete(fail);
    }
  }

  private connectError(cause: unknown): DiscoveryError {
    const { backend, settings } = this.options;
    const servers = settings.servers.map(withoutSecrets).join(', ');
    const refused = /authorization|authentication|AUTH/i.test(`${codeOf(cause) ?? ''} ${messageOf(cause)}`);
    return new DiscoveryError(
      refused ? 'BACKEND_REFUSED' : 'BACKEND_UNAVAILABLE',
      `${backend} can't be connected to at ${servers}: ${saying(cause)}`,
      { backend, cause },
    );
  }

  private lostError(cause: unknown): DiscoveryError {
    const { backend } = this.options;
    const why = cause === undefined ? 'the connection to the server was lost' : saying(cause);
    return new DiscoveryError('BACKEND_UNAVAILABLE', `${backend} doesn't answer: ${why}`, { backend, cause });
  }

  private closedError(): DiscoveryError {
    const { backend } = this.options;
    return new DiscoveryError('BACKEND_CLOSED', `${backend} was closed`, { backend });
  }
}
