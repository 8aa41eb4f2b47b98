import {
  Backoff,
  peerError,
  PeriodicTask,
  readTls,
  until,
  ValueView,
  withDeadline,
  type View,
} from '../../../../backend/index.js';
import { DiscoveryError, messageOf } from '../../../../model/index.js';
import type { NacosAuth } from '../auth.js';
import { warnOfTrust, type Environment } from '../environment.js';
import { isForbidden, NacosError, withAdvice } from '../errors.js';
import type { Json } from '../json.js';
import type { NacosClientSettings } from '../options.js';
import type { LinkState, RpcRequestOptions } from '../link.js';
import { aborted, credentialsOf, openChannel, probe, type ChannelCredentials } from './channel.js';
import type { GrpcModule, Message, RpcConnection } from './connection.js';
import { RpcPushes, type PushHandler } from './pushes.js';
import type { NacosServers } from '../servers.js';

/** A request is tried this often while its time lasts. */
const MAX_TRIES = 4;

/** While somebody waits, a connection is tried this often, in milliseconds. */
const HURRY_MS = 500;

/**
 * The one gRPC channel of a client: connects, stays connected, fails over, answers pushes, and tells when what the server
 * knew of this client is gone.
 */
export class RpcClient {
  /** Counts the connections: what was registered on an earlier one is lost. */
  epoch = 0;
  private readonly stateView: ValueView<LinkState>;
  private connection: RpcConnection | undefined;
  /** We were told to leave it: it stays open until all that it carries was done again on the next one. */
  private retiring: RpcConnection | undefined;
  private preferred: string | undefined;
  private readonly closing = new AbortController();
  private readonly backoff: Backoff;
  private readonly probing: PeriodicTask;
  private readonly pushes: RpcPushes;
  private readonly connectedListeners: (() => unknown)[] = [];
  private readonly disconnectedListeners: ((error: DiscoveryError) => void)[] = [];
  private loop: Promise<void> | undefined;
  private wake = new AbortController();
  private triedAt = -Infinity;
  private currentServer: string | undefined;
  private grpc: GrpcModule | undefined;

  constructor(
    private readonly settings: NacosClientSettings,
    private readonly env: Environment,
    private readonly servers: NacosServers,
    private readonly auth: NacosAuth,
  ) {
    this.stateView = new ValueView<LinkState>(Object.freeze({ phase: 'connecting' }), (error) =>
      env.report({ type: 'listener.failed', where: `connection of ${env.backend}`, error }),
    );
    this.pushes = new RpcPushes(env, (host, port) => this.redirected(host, port));
    this.backoff = new Backoff({ clock: env.clock, initialMs: 200, maxMs: 5000, random: () => env.random() });
    this.probing = new PeriodicTask({
      clock: env.clock,
      what: `the health check of ${env.backend}`,
      intervalMs: () => settings.healthCheckMs,
      timeoutMs: () => settings.requestTimeoutMs * 3,
      random: () => env.random(),
      run: async (signal) => {
        if (this.connection !== undefined) await probe(this.connection, settings.requestTimeoutMs, signal);
      },
      onError: (error) => env.logger.debug(`${env.backend}: ${messageOf(error)}`),
    });
  }

  get state(): View<LinkState> {
    return this.stateView;
  }

  /** What the connected server said it can do. */
  get abilities(): Json {
    return this.connection?.abilities ?? {};
  }

  /** The server that is connected, as `http://host:port`. */
  get server(): string | undefined {
    return this.connection === undefined ? undefined : this.currentServer;
  }

  /** True while a server has this client as connected. */
  get connected(): boolean {
    return this.connection !== undefined;
  }

  /** Sets what answers pushes of a type. */
  onPush(type: string, handler: PushHandler): void {
    this.pushes.on(type, handler);
  }

  /** Called after every connection that was made. A connection that it replaces is kept until the promise settles. */
  onConnected(listener: () => unknown): void {
    this.connectedListeners.push(listener);
  }

  /** Called when nobody could be reached: once for every outage. */
  onDisconnected(listener: (error: DiscoveryError) => void): void {
    this.disconnectedListeners.push(listener);
  }

  /**
   * Loads the gRPC package and begins to connect; doesn't wait for a server.
   *
   * @throws DiscoveryError `MISSING_PEER`, or `INVALID_OPTION` for certificates that can't be read
   */
  async start(): Promise<void> {
    this.grpc = await loadGrpc(this.env.backend);
    const tls = this.settings.tls === undefined ? undefined : await readTls(this.settings.tls, this.env.backend);
    if (this.closing.signal.aborted) return;
    warnOfTrust(this.env, this.settings.tls);
    this.servers.onChanged = () => this.serversChanged();
    this.servers.start();
    this.loop ??= this.stayConnected(this.grpc, credentialsOf(this.grpc, tls));
    this.probing.start('after-interval');
  }

  /** Resolves when a connection was made, or after `timeoutMs`; says which. */
  async untilConnected(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const end = this.env.clock.now() + timeoutMs;
    while (this.connection === undefined && !this.closing.signal.aborted) {
      const left = end - this.env.clock.now();
      if (left <= 0 || signal?.aborted === true) return false;
      this.hurry();
      const before = this.stateView.current;
      const timeoutMs = Math.min(left, HURRY_MS);
      await until(this.stateView, (state) => state !== before, { clock: this.env.clock, timeoutMs, signal });
    }
    return this.connection !== undefined;
  }

  /** Somebody waits for a connection: a reason to try now, but not more often than so. */
  private hurry(): void {
    if (this.stateView.current.phase !== 'degraded' || this.env.clock.now() - this.triedAt < HURRY_MS) return;
    this.wake.abort();
  }

  /**
   * Sends a request and gives its answer. Within its time it waits for a connection, and is tried again on a new one
   * when the old one broke.
   *
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` without an answer in time, `ABORTED`, `BACKEND_CLOSED`;
   * {@link NacosError} for an answer that is an error
   */
  async request(type: string, body: Json, options: RpcRequestOptions): Promise<Message> {
    const { clock } = this.env;
    const timeoutMs = options.timeoutMs ?? this.settings.requestTimeoutMs;
    const end = clock.now() + timeoutMs;
    let problem: unknown;
    let relogged = false;
    for (let attempt = 1; attempt <= MAX_TRIES; attempt += 1) {
      this.assertOpen(type, options.signal);
      if (!(await this.untilConnected(end - clock.now(), options.signal))) break;
      const { connection } = this;
      if (connection === undefined) continue;
      const left = Math.max(1, end - clock.now());
      let headers: Record<string, string> = {};
      try {
        const auth = await withDeadline(clock, left, options.signal, type, () => this.auth.headers(options.resource));
        headers = { ...auth, ...options.headers };
        return await connection.request(type, body, headers, Math.max(1, end - clock.now()), options.signal);
      } catch (error) {
        problem = error;
        if (isForbidden(error) && !relogged) {
          relogged = true;
          if (await this.auth.refused(headers)) continue;
        }
        if (!this.mayTryAgain(connection, error) || options.once === true) break;
      }
    }
    this.assertOpen(type, options.signal);
    throw withAdvice(this.problemOf(type, problem), this.settings);
  }

  /** Ends it; nothing is sent or awaited any more. */
  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    this.wake.abort();
    await this.probing.stop();
    await this.servers.close();
    await this.loop;
    this.connection?.close();
    this.connection = undefined;
    this.retiring?.close();
    this.setState({ phase: 'closed' });
    this.stateView.close();
  }

  /** What broke may be the connection, or the request alone. */
  private mayTryAgain(connection: RpcConnection, error: unknown): boolean {
    if (error instanceof NacosError) {
      if (error.status === 301 && error.messageType === 'ErrorResponse') {
        // The server doesn't know this connection: nothing that was registered on it exists.
        connection.fail(error);
        return true;
      }
      return error.code === 'BACKEND_UNAVAILABLE';
    }
    if (!(error instanceof DiscoveryError) || error.code !== 'BACKEND_UNAVAILABLE') return false;
    // Whether the server or only this request is silent is what the health check finds out.
    this.probing.trigger().catch(() => {});
    return true;
  }

  private problemOf(type: string, problem: unknown): DiscoveryError {
    const { backend } = this.env;
    if (problem instanceof DiscoveryError && problem.code !== 'TIMEOUT') return problem;
    const reason = problem ?? this.stateView.current.error ?? new Error('there is no connection');
    return new DiscoveryError('BACKEND_UNAVAILABLE', `${backend} did not answer ${type}: ${messageOf(reason)}`, {
      backend,
      cause: reason,
    });
  }

  private assertOpen(type: string, signal: AbortSignal | undefined): void {
    if (this.closing.signal.aborted) {
      throw new DiscoveryError('BACKEND_CLOSED', `the client of ${this.env.backend} was closed`, {
        backend: this.env.backend,
      });
    }
    if (signal?.aborted === true) throw new DiscoveryError('ABORTED', `${type} was aborted`);
  }

  private async stayConnected(grpc: GrpcModule, credentials: ChannelCredentials): Promise<void> {
    const { signal } = this.closing;
    let told = false;
    while (!signal.aborted) {
      this.wake = new AbortController();
      const lost = new AbortController();
      try {
        const connection = await this.connect(grpc, credentials, () => lost.abort());
        told = false;
        this.established(connection);
      } catch (error) {
        if (signal.aborted) break;
        this.retire();
        const problem = this.problemOf('the connection', error);
        this.setState({ phase: 'degraded', error: problem });
        this.triedAt = this.env.clock.now();
        if (!told) this.tell(this.disconnectedListeners, problem);
        told = true;
        await this.backoff.wait(AbortSignal.any([signal, this.wake.signal]));
        continue;
      }
      await aborted(AbortSignal.any([signal, lost.signal]));
      const lasted = this.env.clock.now() - (this.connection?.openedAt ?? 0);
      this.drop();
      if (signal.aborted) break;
      this.setState({ phase: 'connecting' });
      // A server that accepts and then hangs up gets no hot loop.
      if (lasted > 2000) this.backoff.reset();
      else await this.backoff.wait(AbortSignal.any([signal, this.wake.signal]));
    }
  }

  private async connect(grpc: GrpcModule, credentials: ChannelCredentials, onLost: () => void): Promise<RpcConnection> {
    const { preferred } = this;
    this.preferred = undefined;
    if (preferred !== undefined) {
      try {
        return await this.connectTo(preferred, grpc, credentials, onLost);
      } catch (error) {
        this.env.logger.debug(`${this.env.backend}: ${preferred} was recommended and failed: ${messageOf(error)}`);
      }
    }
    return this.servers.connections.run(
      (server) => this.connectTo(server, grpc, credentials, onLost),
      this.closing.signal,
    );
  }

  private async connectTo(
    server: string,
    grpc: GrpcModule,
    credentials: ChannelCredentials,
    onLost: () => void,
  ): Promise<RpcConnection> {
    const { env, settings } = this;
    const connection = await openChannel(
      {
        grpc,
        credentials,
        env,
        settings,
        target: this.servers.grpcTarget(server),
        onPush: (message, send) => this.pushes.receive(message, send),
        onLost: (error) => {
          env.logger.debug(`${env.backend}: ${error.message}`);
          onLost();
        },
      },
      this.closing.signal,
    );
    this.currentServer = server;
    return connection;
  }

  private established(connection: RpcConnection): void {
    const previous = this.retiring;
    this.connection = connection;
    this.epoch += 1;
    this.env.logger.log(`${this.env.backend}: connected to ${this.currentServer ?? 'a server'}`);
    this.setState({ phase: 'ready' });
    const done = this.tell(this.connectedListeners, undefined);
    if (previous === undefined) return;
    // Its registrations end with it: not before the new ones are there.
    void Promise.allSettled(done).then(() => {
      if (this.retiring === previous) this.retire();
      else previous.close();
    });
  }

  private drop(): void {
    const { connection } = this;
    this.connection = undefined;
    if (connection !== this.retiring) connection?.close();
  }

  /** Gives a connection up that still works. */
  private leave(connection: RpcConnection): void {
    this.retire();
    this.retiring = connection;
  }

  private retire(): void {
    this.retiring?.close();
    this.retiring = undefined;
  }

  /** The server asks us to go elsewhere; the old connection is kept until the new one is there. */
  private redirected(host: string, port: number | undefined): void {
    const { connection } = this;
    if (connection === undefined) return;
    this.env.logger.log(`${this.env.backend}: the server asked for a reconnection to ${host || 'any server'}`);
    const others = this.servers.connections.all.filter((server) => server !== this.currentServer);
    this.preferred = this.servers.find(host, port) ?? others[Math.floor(this.env.random() * others.length)];
    this.leave(connection);
    connection.fail(new Error('the server asked for a reconnection'));
  }

  private serversChanged(): void {
    const { currentServer, connection } = this;
    if (
      connection !== undefined &&
      currentServer !== undefined &&
      !this.servers.connections.all.includes(currentServer)
    ) {
      this.leave(connection);
      connection.fail(new Error('the server is no longer in the list'));
    }
    this.wake.abort();
  }

  private tell<T>(listeners: readonly ((what: T) => unknown)[], what: T): readonly unknown[] {
    return listeners.map((listener) => {
      try {
        return listener(what);
      } catch (error) {
        this.env.report({ type: 'listener.failed', where: `connection of ${this.env.backend}`, error });
        return undefined;
      }
    });
  }

  private setState(state: LinkState): void {
    const { current } = this.stateView;
    if (current.phase === 'closed') return;
    if (current.phase === state.phase && current.error?.message === state.error?.message) return;
    this.stateView.set(Object.freeze(state));
  }
}

/** @throws DiscoveryError `MISSING_PEER` */
async function loadGrpc(backend: string): Promise<GrpcModule> {
  try {
    return await import('@grpc/grpc-js');
  } catch (error) {
    throw peerError(backend, '@grpc/grpc-js', error);
  }
}
