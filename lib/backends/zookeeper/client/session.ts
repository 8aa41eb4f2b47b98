import { setMaxListeners } from 'node:events';
import {
  conceal,
  PeriodicTask,
  sleep,
  until,
  ValueView,
  WatchLoop,
  type Clock,
  type Logger,
  type Timer,
  type TlsMaterial,
  type View,
} from '../../../backend/index.js';
import { defined, DiscoveryError, toDiscoveryError } from '../../../model/index.js';
import { Connection, type NodeEvent, type SessionCredentials } from './connection.js';
import { ZooKeeperError } from './errors.js';
import type { ZooKeeperLibrary } from './library.js';
import { sessionName } from './node-stat.js';
import type { ServerAddress } from './servers.js';

/**
 * How a session is doing.
 * - `connecting`: there has been none yet;
 * - `connected`: requests go through;
 * - `suspended`: the connection is gone, the session may live on;
 * - `lost`: the session has ended as far as anybody can tell, and its nodes with it. Told by the server, or by us when
 *   we were cut off for as long as the session lasts;
 * - `closed`: for good.
 */
export interface ZooKeeperState {
  readonly phase: 'connecting' | 'connected' | 'suspended' | 'lost' | 'closed';
  /** The session's id as ZooKeeper's logs write it. */
  readonly sessionId?: string;
  /** The session timeout that the server granted, in milliseconds. */
  readonly sessionTimeoutMs?: number;
  /** The server that we are connected to. */
  readonly server?: string;
  /** Why it isn't connected. */
  readonly error?: DiscoveryError;
}

/** Options of a {@link Session}. */
export interface SessionOptions {
  readonly backend: string;
  readonly servers: readonly ServerAddress[];
  readonly sessionTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly auth: readonly { readonly scheme: string; readonly credentials: string }[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onEvent: (event: NodeEvent) => void;
  readonly onListenerError: (error: unknown) => void;
}

/** A session that ends this much later than it should is still called lost in time. */
const CLOSE_TIMEOUT_MS = 2000;

/**
 * A ZooKeeper session over as many connections as it takes: keeps it alive, notices servers that fall silent, goes on
 * with it on another server, tells when it is lost, and begins a new one then.
 */
export class Session {
  private readonly view: ValueView<ZooKeeperState>;
  private readonly loop: WatchLoop;
  private readonly heartbeat: PeriodicTask;
  private connection: Connection | undefined;
  private credentials: SessionCredentials | undefined;
  private timeoutMs: number;
  private lastZxid: Buffer | undefined;
  private lostTimer: Timer | undefined;
  private nextServer: number;
  private library: ZooKeeperLibrary | undefined;
  private tls: TlsMaterial | undefined;
  private readonly closing = new AbortController();

  constructor(private readonly options: SessionOptions) {
    const { clock, random, onListenerError, sessionTimeoutMs, servers } = options;
    this.view = new ValueView<ZooKeeperState>(Object.freeze({ phase: 'connecting' }), onListenerError);
    this.timeoutMs = sessionTimeoutMs;
    // Every operation that waits for a connection listens: any number of them is no leak.
    setMaxListeners(0, this.closing.signal);
    // Clients that have the same list must not all go to its first server.
    this.nextServer = Math.floor(random() * servers.length);
    this.loop = new WatchLoop({
      clock,
      round: (signal) => this.connectOnce(signal),
      onError: (error) => this.unavailable(error),
      burst: servers.length + 2,
      minIntervalMs: 500,
      backoff: { initialMs: 100, maxMs: Math.min(2000, Math.max(200, sessionTimeoutMs / 5)) },
      random,
    });
    this.heartbeat = new PeriodicTask({
      clock,
      what: `the heartbeat of ${options.backend}`,
      intervalMs: () => this.timeoutMs / 3,
      timeoutMs: () => this.timeoutMs / 3,
      random,
      run: () => this.beat(),
      onError: () => this.silent(),
    });
  }

  get state(): View<ZooKeeperState> {
    return this.view;
  }

  start(library: ZooKeeperLibrary, tls?: TlsMaterial): void {
    if (this.closing.signal.aborted) return;
    this.library = library;
    this.tls = tls;
    this.loop.start();
    this.heartbeat.start('after-interval');
  }

  /** Ends the session at the server, if that answers, and everything here. */
  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    this.lostTimer?.cancel();
    await this.connection?.closeSession(Math.min(CLOSE_TIMEOUT_MS, this.timeoutMs / 3));
    await Promise.all([this.loop.close(), this.heartbeat.stop()]);
    this.view.set(Object.freeze({ phase: 'closed' }));
    this.view.close();
  }

  /**
   * The connection, as soon as there is one; one that is being opened is waited for, at most `waitMs`.
   *
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`, `BACKEND_CLOSED` or `ABORTED`
   */
  async connected(waitMs: number, signal: AbortSignal | undefined): Promise<Connection> {
    if (signal?.aborted === true) throw this.aborted();
    if (this.connection !== undefined && this.view.current.phase === 'connected') return this.connection;
    const ended = signal === undefined ? this.closing.signal : AbortSignal.any([signal, this.closing.signal]);
    const { clock } = this.options;
    await until(this.view, ({ phase }) => phase === 'connected', { clock, timeoutMs: waitMs, signal: ended });
    if (this.connection !== undefined && this.view.current.phase === 'connected') return this.connection;
    throw this.unavailableError(signal);
  }

  /** What to tell somebody who can't be served. */
  unavailableError(signal?: AbortSignal): DiscoveryError {
    const { backend } = this.options;
    const { phase, error } = this.view.current;
    if (this.closing.signal.aborted)
      return new DiscoveryError('BACKEND_CLOSED', `the backend ${backend} was closed`, { backend });
    if (signal?.aborted === true) return this.aborted();
    const reason = error?.message ?? `it didn't answer yet (${phase})`;
    return new DiscoveryError('BACKEND_UNAVAILABLE', `${backend} can't be reached: ${reason}`, {
      backend,
      ...defined({ cause: error }),
    });
  }

  /** Tries every server once; with one that takes us, stays until the connection is over. */
  private async connectOnce(signal: AbortSignal): Promise<void> {
    const { servers } = this.options;
    let failure: unknown;
    const over = (): boolean => signal.aborted || this.closing.signal.aborted;
    for (let tries = 0; tries < servers.length && !over(); tries += 1) {
      const server = servers[this.nextServer % servers.length];
      this.nextServer += 1;
      if (server === undefined || this.library === undefined) return;
      const connection = this.connect(this.library, server);
      const abort = (): void => connection.drop('it was closed');
      signal.addEventListener('abort', abort, { once: true });
      try {
        const opened = await connection.opened;
        this.becameConnected(opened, server);
        const reason = await connection.ended;
        this.lastZxid = connection.lastZxid;
        this.suspend(connection);
        // Trying again at once would be refused again.
        if (reason === 'refused' && connection.error !== undefined) throw connection.error;
        return;
      } catch (error) {
        failure = error;
        if (error instanceof ZooKeeperError && error.failure === 'SESSION_EXPIRED' && this.credentials !== undefined) {
          // This server answers: it is the one to ask for a new session, at once.
          this.sessionEnded(error);
          tries -= 1;
          this.nextServer -= 1;
        }
      } finally {
        signal.removeEventListener('abort', abort);
        this.connection = undefined;
      }
    }
    if (!over()) throw failure;
  }

  private connect(library: ZooKeeperLibrary, server: ServerAddress): Connection {
    const { clock, backend, auth, onEvent, connectTimeoutMs, sessionTimeoutMs } = this.options;
    const connection = new Connection(library, {
      clock,
      backend,
      server,
      sessionTimeoutMs,
      connectTimeoutMs,
      session: this.credentials,
      lastZxid: this.lastZxid,
      auth,
      tls: this.tls,
      onEvent,
    });
    this.connection = connection;
    return connection;
  }

  private becameConnected(opened: SessionCredentials & { readonly timeoutMs: number }, server: ServerAddress): void {
    const { logger, backend, sessionTimeoutMs } = this.options;
    this.lostTimer?.cancel();
    const isNew = this.credentials === undefined || !this.credentials.id.equals(opened.id);
    this.credentials = { id: opened.id, password: opened.password };
    this.timeoutMs = opened.timeoutMs;
    const sessionId = sessionName(opened.id);
    if (isNew && opened.timeoutMs !== sessionTimeoutMs) {
      logger.debug(
        `${backend}: ${server.name} granted a session of ${opened.timeoutMs} ms instead of ${sessionTimeoutMs} ms`,
      );
    }
    this.set({ phase: 'connected', sessionId, sessionTimeoutMs: opened.timeoutMs, server: server.name });
    // From now on at the pace of the timeout that was granted.
    this.heartbeat.trigger().catch(() => {});
  }

  private suspend(connection: Connection): void {
    const { clock } = this.options;
    if (this.closing.signal.aborted) return;
    const error = connection.error;
    this.lostTimer?.cancel();
    // The server counts from when it last heard of us, which was no later than when we last heard of it.
    const remaining = connection.lastHeardAt + this.timeoutMs - clock.now();
    this.lostTimer = clock.setTimer(() => this.cutOff(), Math.max(0, remaining));
    const { sessionId } = this.view.current;
    this.set({
      phase: 'suspended',
      ...defined({ sessionId, error }),
    });
  }

  /** Nobody told us, but the session has ended by now, or will have when a server answers. */
  private cutOff(): void {
    const { current } = this.view;
    if (current.phase !== 'suspended') return;
    // A server that was restarted empty is behind what we have seen, and would refuse us for ever.
    this.lastZxid = undefined;
    this.set({
      phase: 'lost',
      ...defined({ sessionId: current.sessionId }),
      error: new DiscoveryError(
        'BACKEND_UNAVAILABLE',
        `cut off for as long as the session lasts (${this.timeoutMs} ms): ${current.error?.message ?? 'no server answered'}`,
        { backend: this.options.backend },
      ),
    });
  }

  private sessionEnded(error: DiscoveryError): void {
    const { sessionId } = this.view.current;
    this.lostTimer?.cancel();
    this.credentials = undefined;
    this.lastZxid = undefined;
    this.set({ phase: 'lost', ...defined({ sessionId }), error });
  }

  private unavailable(error: unknown): void {
    const { backend, servers } = this.options;
    const reason = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `no server of ${backend} took the connection`, {
      backend,
    });
    const { current } = this.view;
    if (current.phase === 'closed' || current.phase === 'connected') return;
    if (current.error?.message === reason.message) return;
    if (current.phase === 'connecting') {
      const names = servers.map((server) => server.name).join(', ');
      this.options.logger.debug(`${backend}: none of ${names} answers: ${reason.message}`);
    }
    this.set({ ...current, error: reason });
  }

  /** Asks for the one node that there always is: the answer shows that the server lives, the question that we do. */
  private async beat(): Promise<void> {
    const { connection } = this;
    if (connection === undefined || this.view.current.phase !== 'connected') return;
    await connection
      .request<[unknown], void>(
        'the heartbeat',
        (client, done) => client.exists('/', done),
        () => undefined,
      )
      .catch(() => {});
  }

  private silent(): void {
    const { connection } = this;
    if (connection === undefined || this.view.current.phase !== 'connected') return;
    const heardAt = connection.lastHeardAt;
    // When our own process stood still, what came meanwhile waits to be read: that goes first.
    void this.afterReading().then(() => {
      if (connection.lastHeardAt === heardAt) {
        connection.drop(
          `${this.view.current.server ?? 'the server'} didn't answer for ${Math.round(this.timeoutMs / 3)} ms`,
        );
      }
    });
  }

  private async afterReading(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await sleep(this.options.clock, 1);
  }

  private set(state: ZooKeeperState): void {
    this.view.set(Object.freeze(state));
  }

  private aborted(): DiscoveryError {
    const { backend } = this.options;
    return new DiscoveryError('ABORTED', `the request to ${backend} was aborted`, { backend });
  }
}

conceal(Session.prototype);
