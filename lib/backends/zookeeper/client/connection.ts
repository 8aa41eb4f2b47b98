import { isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { conceal, type Clock, type Timer, type TlsMaterial } from '../../../backend/index.js';
import { messageOf } from '../../../model/index.js';
import { failureName, isCommonCode, ZooKeeperError } from './errors.js';
import { FrameReader } from './frames.js';
import {
  managerOf,
  type Callback,
  type LibraryClient,
  type LibraryConnectionManager,
  type ZooKeeperLibrary,
} from './library.js';
import type { ServerAddress } from './servers.js';

/** A session that a server granted: whoever knows both can go on with it on another connection. */
export interface SessionCredentials {
  readonly id: Buffer;
  readonly password: Buffer;
}

/** What the server said when it took the connection. */
export interface Opened extends SessionCredentials {
  /** The session timeout that the server granted, in milliseconds. */
  readonly timeoutMs: number;
}

/** A watch that fired; `created`, `deleted` and `changed` are of the node, `children` of its list of children. */
export interface NodeEvent {
  readonly path: string;
  readonly type: 'created' | 'deleted' | 'changed' | 'children';
}

/** Why a connection is over. */
export type EndReason = 'lost' | 'expired' | 'refused' | 'closed';

/** Options of a {@link Connection}. */
export interface ConnectionOptions {
  readonly clock: Clock;
  readonly backend: string;
  readonly server: ServerAddress;
  /** The timeout to ask for, in milliseconds. */
  readonly sessionTimeoutMs: number;
  /** How long connecting and the handshake may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** The session to go on with; undefined for a new one. */
  readonly session: SessionCredentials | undefined;
  /** The newest transaction that was seen: a server that is behind must not take us. */
  readonly lastZxid: Buffer | undefined;
  readonly auth: readonly { readonly scheme: string; readonly credentials: string }[];
  /** Speak TLS, with this. */
  readonly tls?: TlsMaterial | undefined;
  readonly onEvent: (event: NodeEvent) => void;
}

const FAILURES: Readonly<Record<EndReason, string>> = {
  lost: 'CONNECTION_LOSS',
  closed: 'CONNECTION_LOSS',
  expired: 'SESSION_EXPIRED',
  refused: 'AUTH_FAILED',
};

const EVENT_TYPES: ReadonlyMap<number, NodeEvent['type']> = new Map([
  [1, 'created'],
  [2, 'deleted'],
  [3, 'changed'],
  [4, 'children'],
]);

/** Codes of the library's `State`. */
const STATE_CONNECTED = 3;
const STATE_AUTH_FAILED = 4;
const STATE_EXPIRED = -122;

/** Where a reply's header has its xid and its error code, after four bytes of length. */
const XID_OFFSET = 4;
const ERROR_OFFSET = 16;
const SYSTEM_ERROR = -1;

/** The xid of answers to credentials. */
const AUTH_XID = -4;

/**
 * One TCP connection, with one client of the library for it: the library's own reconnecting mixes the answers of two
 * connections, forgets requests and can't be ended, so each connection gets a fresh client that never reconnects.
 *
 * Nothing that a server sends can throw out of here: what can't be read ends the connection.
 */
export class Connection {
  /** Resolves when the server took us; rejects when it didn't. */
  readonly opened: Promise<Opened>;
  /** Resolves when it is over. */
  readonly ended: Promise<EndReason>;
  /** When something last came from the server, in milliseconds since the epoch. */
  lastHeardAt: number;
  private readonly client: LibraryClient;
  private readonly manager: LibraryConnectionManager;
  private readonly frames = new FrameReader();
  private readonly pending = new Set<(error: ZooKeeperError) => void>();
  private readonly timer: Timer;
  private handshakeDone = false;
  /** Credentials that the server has accepted. */
  private accepted = 0;
  private isOpen = false;
  private gathering = false;
  private ending: EndReason | undefined;
  private failure: ZooKeeperError | undefined;
  /** The code of the reply that is being read, when the library doesn't know it. */
  private foreignCode: number | undefined;
  private settle: {
    open: (opened: Opened) => void;
    fail: (error: ZooKeeperError) => void;
    end: (r: EndReason) => void;
  };

  constructor(
    library: ZooKeeperLibrary,
    private readonly options: ConnectionOptions,
  ) {
    const { clock, session, sessionTimeoutMs, backend, server } = options;
    this.settle = { open: () => {}, fail: () => {}, end: () => {} };
    this.opened = new Promise((resolve, reject) => {
      this.settle.open = resolve;
      this.settle.fail = reject;
    });
    this.opened.catch(() => {});
    this.ended = new Promise((resolve) => (this.settle.end = resolve));
    this.lastHeardAt = clock.now();
    // The address is set below: the library's own parser doesn't know IPv6.
    this.client = library.createClient('server', {
      sessionTimeout: sessionTimeoutMs,
      spinDelay: 0,
      retries: 0,
      ...(session === undefined ? {} : { sessionId: session.id, sessionPassword: session.password }),
    });
    this.manager = managerOf(this.client, backend);
    this.tame();
    for (const { scheme, credentials } of options.auth) this.client.addAuthInfo(scheme, Buffer.from(credentials));
    this.timer = clock.setTimer(
      () => this.end('lost', `${server.name} didn't answer within ${options.connectTimeoutMs} ms`),
      options.connectTimeoutMs,
    );
    this.connect();
  }

  /** Why it ended, or undefined while it lasts. */
  get error(): ZooKeeperError | undefined {
    return this.failure;
  }

  /** The newest transaction that this connection has shown. */
  get lastZxid(): Buffer {
    return this.manager.zxid;
  }

  /**
   * Sends one request.
   *
   * @throws ZooKeeperError what the server answered, or `CONNECTION_LOSS`: then nobody knows whether it was done
   */
  request<A extends unknown[], T>(
    what: string,
    send: (client: LibraryClient, done: Callback<A>) => void,
    read: (...answer: A) => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.ending !== undefined) return reject(this.lostError());
      this.pending.add(reject);
      const done: Callback<A> = (error, ...answer) => {
        if (!this.pending.delete(reject)) return;
        if (error === null || error === undefined) {
          try {
            resolve(read(...answer));
          } catch (unreadable) {
            reject(this.toError(what, unreadable));
          }
        } else reject(this.toError(what, error));
      };
      try {
        this.gatherWrites();
        send(this.client, done);
      } catch (error) {
        this.pending.delete(reject);
        reject(this.toError(what, error));
      }
    });
  }

  /** Breaks it off without a word to the server: the session lives on. */
  drop(why: string): void {
    this.end('lost', why);
  }

  /** Ends the session, so that its nodes vanish at once. Never rejects; takes at most `withinMs`. */
  async closeSession(withinMs: number): Promise<void> {
    if (this.isOpen && this.ending === undefined) {
      let timer: Timer | undefined;
      const expired = new Promise<void>((resolve) => {
        timer = this.options.clock.setTimer(resolve, withinMs);
      });
      try {
        this.client.close();
        await Promise.race([this.ended, expired]);
      } catch {
        // Cut off below.
      }
      timer?.cancel();
    }
    this.end('closed', 'it was closed');
  }

  /** Requests of one moment go out in one write: the system call would cost more than they do. */
  private gatherWrites(): void {
    const { socket } = this.manager;
    if (this.gathering || socket === undefined) return;
    this.gathering = true;
    socket.cork();
    process.nextTick(() => {
      this.gathering = false;
      socket.uncork();
    });
  }

  /** Puts ourselves between the library and its socket. */
  private tame(): void {
    const { manager, client, options } = this;
    const { server, lastZxid } = options;
    manager.servers = [{ host: server.host, port: server.port }];
    if (lastZxid !== undefined) manager.zxid = Buffer.from(lastZxid);
    manager.findNextServer = (callback) => {
      if (options.tls === undefined) callback({ host: server.host, port: server.port });
      else this.dialTls(options.tls);
    };
    const read = manager.onSocketData.bind(manager);
    manager.onSocketData = (chunk) => this.receive(chunk, read);
    manager.watcherManager = {
      // After a reconnection everything is read again: nothing must be re-armed before.
      isEmpty: () => true,
      // All events, since the one that belongs to a read may come before the answer of the read.
      emit: (event) => this.notify(event),
      registerDataWatcher() {},
      registerChildWatcher() {},
      registerExistenceWatcher() {},
    };
    client.on('state', ({ code }) => {
      if (code === STATE_CONNECTED) {
        this.handshakeDone = true;
        if (options.auth.length === 0) this.becomeOpen();
      }
      if (code === STATE_EXPIRED) this.end('expired', 'the session expired');
      else if (code === STATE_AUTH_FAILED) this.end('refused', 'the server refused the credentials');
    });
  }

  private connect(): void {
    const { manager, options } = this;
    try {
      this.client.connect();
    } catch (error) {
      return this.end('lost', `${options.server.name}: ${messageOf(error)}`);
    }
    // It would reconnect for ever.
    manager.connect = () => {};
    if (manager.connectTimeoutHandler !== null) clearTimeout(manager.connectTimeoutHandler);
    let problem: unknown;
    manager.socket?.on('error', (error) => (problem = error));
    manager.socket?.on('close', () =>
      this.end(
        'lost',
        `${options.server.name} ${problem === undefined ? 'closed the connection' : `failed: ${messageOf(problem)}`}`,
      ),
    );
  }

  /** What the library does with a plain socket; it has no other. */
  private dialTls(tls: TlsMaterial): void {
    const { manager } = this;
    const { host, port } = this.options.server;
    // An address is no name to ask for, but is what the certificate must bear.
    const named = isIP(host) === 0 ? { servername: host } : {};
    const socket = connectTls({ ...named, ...tls, host, port });
    manager.socket = socket;
    socket.setNoDelay();
    socket.on('secureConnect', () => manager.onSocketConnected());
    socket.on('data', (chunk: Buffer) => manager.onSocketData(chunk));
    socket.on('drain', () => manager.onSocketDrain());
    socket.on('close', () => manager.onSocketClosed());
    socket.on('error', (error) => manager.onSocketError(error));
  }

  private becomeOpen(): void {
    if (this.ending !== undefined || this.isOpen) return;
    this.isOpen = true;
    this.timer.cancel();
    this.settle.open({
      id: this.client.getSessionId(),
      password: this.client.getSessionPassword(),
      timeoutMs: this.client.getSessionTimeout(),
    });
  }

  private receive(chunk: Buffer, read: (frame: Buffer) => void): void {
    this.lastHeardAt = this.options.clock.now();
    try {
      this.frames.push(chunk, (frame) => {
        if (this.ending !== undefined) return false;
        if (!this.handshakeDone) read(frame);
        else {
          read(this.readable(frame));
          this.foreignCode = undefined;
          this.noteCredentials(frame);
        }
        return true;
      });
    } catch (error) {
      this.end('lost', `${this.options.server.name} sent what can't be read: ${messageOf(error)}`);
    }
  }

  /** Nothing is asked before the server knows who we are: it would be refused. */
  private noteCredentials(frame: Buffer): void {
    if (this.isOpen || frame.length < ERROR_OFFSET + 4) return;
    if (frame.readInt32BE(XID_OFFSET) !== AUTH_XID || frame.readInt32BE(ERROR_OFFSET) !== 0) return;
    this.accepted += 1;
    if (this.accepted === this.options.auth.length) this.becomeOpen();
  }

  /** The library throws at error codes that it doesn't know, and then waits for ever for the answer. */
  private readable(frame: Buffer): Buffer {
    if (frame.length < ERROR_OFFSET + 4 || frame.readInt32BE(XID_OFFSET) < 0) return frame;
    const code = frame.readInt32BE(ERROR_OFFSET);
    if (code === 0 || isCommonCode(code)) return frame;
    this.foreignCode = code;
    const copy = Buffer.from(frame);
    copy.writeInt32BE(SYSTEM_ERROR, ERROR_OFFSET);
    return copy;
  }

  private notify({ type, path }: { readonly type: number; readonly path: string }): void {
    const name = EVENT_TYPES.get(type);
    if (name !== undefined && typeof path === 'string') this.options.onEvent({ path, type: name });
  }

  private end(reason: EndReason, why: string): void {
    if (this.ending !== undefined) return;
    this.ending = reason;
    this.failure = new ZooKeeperError(FAILURES[reason], why, {
      backend: this.options.backend,
    });
    this.timer.cancel();
    this.manager.socket?.destroy();
    this.settle.fail(this.failure);
    for (const reject of this.pending) reject(this.failure);
    this.pending.clear();
    this.settle.end(reason);
  }

  private lostError(): ZooKeeperError {
    return (
      this.failure ??
      new ZooKeeperError('CONNECTION_LOSS', 'the connection was lost', { backend: this.options.backend })
    );
  }

  private toError(what: string, error: unknown): ZooKeeperError {
    const { backend } = this.options;
    const code = this.foreignCode ?? codeNumber(error);
    if (code === undefined)
      return new ZooKeeperError('SYSTEM_ERROR', `${what}: ${messageOf(error)}`, { backend, cause: error });
    const failure = failureName(code);
    const message = failure === 'CONNECTION_LOSS' && this.failure !== undefined ? this.failure.message : failure;
    return new ZooKeeperError(failure, `${what} failed: ${message}`, { backend, cause: error });
  }
}

conceal(Connection.prototype);

function codeNumber(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}
