import {
  conceal,
  readTls,
  silentLogger,
  singleLine,
  systemClock,
  type Clock,
  type Logger,
  type TlsOptions,
  type Unsubscribe,
  type View,
} from '../../../backend/index.js';
import { defined, DiscoveryError } from '../../../model/index.js';
import type { NodeEvent } from './connection.js';
import { isFailure, ZooKeeperError } from './errors.js';
import { loadLibrary, type Callback, type LibraryClient, type LibraryStat, type ZooKeeperLibrary } from './library.js';
import { toNodeStat, type NodeStat } from './node-stat.js';
import { assertPath, childPath, parentPath } from './paths.js';
import { parseServers } from './servers.js';
import { Session, type ZooKeeperState } from './session.js';

/** Who may do what with a node that is created: everybody, or only those who authenticated as we did. */
export type AccessRule = 'open' | 'creator';

/** How long a node lasts, and whether ZooKeeper adds ten digits to its name. */
export type CreateMode = 'persistent' | 'persistent-sequential' | 'ephemeral' | 'ephemeral-sequential';

/** Options of a {@link ZooKeeperClient}. */
export interface ZooKeeperClientOptions {
  /** `host:port`, several in a list or separated by commas, perhaps with a path after the last one. */
  readonly servers: string | readonly string[];
  /** Path that all paths of this client are below of; created when it is missing. */
  readonly chroot?: string;
  /** The session timeout to ask for, in milliseconds; the server may grant another. @default 30000 */
  readonly sessionTimeoutMs?: number;
  /** How long opening one connection may take, in milliseconds. @default 5000 */
  readonly connectTimeoutMs?: number;
  /** How long an operation waits for a connection when there is none, in milliseconds. @default 3000 */
  readonly requestTimeoutMs?: number;
  /** Credentials, sent on every connection: `{ scheme: 'digest', credentials: 'user:password' }`. */
  readonly auth?: readonly { readonly scheme: string; readonly credentials: string }[];
  /** Speak TLS, with a server's `secureClientPort`. @default plain text */
  readonly tls?: TlsOptions;
  /** Who may use the nodes that this client creates. @default 'open' */
  readonly access?: AccessRule;
  /** The name in messages. @default 'zookeeper' */
  readonly name?: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** Options of an operation that reads. */
export interface ReadOptions {
  /** Leave a watch: the next change comes as a {@link NodeEvent}, once. @default false */
  readonly watch?: boolean;
  readonly signal?: AbortSignal;
}

/** The data of a node. */
export interface NodeData {
  readonly data: Buffer;
  readonly stat: NodeStat;
}

const NO_DATA = Buffer.alloc(0);

/** The library's `CreateMode`. */
const MODES: Readonly<Record<CreateMode, number>> = {
  persistent: 0,
  ephemeral: 1,
  'persistent-sequential': 2,
  'ephemeral-sequential': 3,
};

const ALL_PERMISSIONS = 31;

const noticed = (): void => {};

/**
 * A ZooKeeper client with promises, over one session that looks after itself. For everything that the drivers do, and
 * for anybody who wants to use ZooKeeper by the way.
 *
 * ```ts
 * const client = new ZooKeeperClient({ servers: 'zookeeper-1:2181,zookeeper-2:2181' });
 * await client.open();
 * await client.create('/locks/one', Buffer.from('me'), { mode: 'ephemeral' });
 * await client.close();     // the node is gone
 * ```
 *
 * Operations reject with a {@link ZooKeeperError}; one that breaks off (`CONNECTION_LOSS`) may have been done or not.
 */
export class ZooKeeperClient {
  private readonly session: Session;
  private readonly chroot: string;
  private readonly name: string;
  private readonly waitMs: number;
  private readonly access: AccessRule;
  private readonly listeners = new Map<string, Set<(event: NodeEvent) => void>>();
  private readonly tls: TlsOptions | undefined;
  private library: ZooKeeperLibrary | undefined;
  private chrootExists: boolean;
  private readonly onListenerError: (error: unknown) => void;

  /** @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME` */
  constructor(options: ZooKeeperClientOptions & { readonly onListenerError?: (error: unknown) => void }) {
    const { servers, chroot } = parseServers(options.servers, 'servers');
    const root = options.chroot ?? chroot ?? '/';
    assertPath(root, 'chroot');
    this.chroot = root === '/' ? '' : root;
    this.chrootExists = this.chroot === '';
    this.name = options.name ?? 'zookeeper';
    this.waitMs = options.requestTimeoutMs ?? 3000;
    this.access = options.access ?? 'open';
    this.tls = options.tls === undefined ? undefined : conceal({ ...options.tls });
    this.onListenerError = options.onListenerError ?? (() => {});
    this.session = new Session({
      backend: this.name,
      servers,
      sessionTimeoutMs: options.sessionTimeoutMs ?? 30_000,
      connectTimeoutMs: options.connectTimeoutMs ?? 5000,
      auth: options.auth ?? [],
      clock: options.clock ?? systemClock,
      logger: singleLine(options.logger ?? silentLogger),
      random: options.random ?? Math.random,
      onEvent: (event) => this.dispatch(event),
      onListenerError: this.onListenerError,
    });
    this.session.state.subscribe(({ phase }) => {
      // The server may come back without its data.
      if (phase === 'lost') this.chrootExists = this.chroot === '';
    });
  }

  /** How the session is doing. */
  get state(): View<ZooKeeperState> {
    return this.session.state;
  }

  /** The present session's id, as the `owner` of the nodes that it created; undefined before the first one. */
  get sessionId(): string | undefined {
    return this.session.state.current.sessionId;
  }

  /**
   * Loads node-zookeeper-client and begins to connect, without waiting for a server.
   * @throws DiscoveryError `MISSING_PEER`; `INVALID_OPTION` for certificates that can't be used
   */
  async open(): Promise<void> {
    this.library ??= await loadLibrary(this.name);
    const material = this.tls === undefined ? undefined : await readTls(this.tls, this.name);
    this.session.start(this.library, material);
  }

  /** Ends the session, so that its ephemeral nodes vanish at once, and releases everything. */
  async close(): Promise<void> {
    await this.session.close();
    this.listeners.clear();
  }

  /** The error for an operation that can't be done now; undefined while connected, or while that may come at any moment. */
  get outage(): DiscoveryError | undefined {
    const { phase, error } = this.state.current;
    if (phase === 'connected' || (phase === 'connecting' && error === undefined)) return undefined;
    return this.session.unavailableError();
  }

  /** Calls back for every event of the node and of its children, as far as watches were left there. */
  onNode(path: string, listener: (event: NodeEvent) => void): Unsubscribe {
    let listeners = this.listeners.get(path);
    if (listeners === undefined) this.listeners.set(path, (listeners = new Set()));
    const entry = (event: NodeEvent): void => listener(event);
    listeners.add(entry);
    return () => {
      listeners.delete(entry);
      if (listeners.size === 0 && this.listeners.get(path) === listeners) this.listeners.delete(path);
    };
  }

  /** The node's data, or undefined when there is no such node (which leaves no watch). */
  getData(path: string, { watch = false, signal }: ReadOptions = {}): Promise<NodeData | undefined> {
    return this.run<[Buffer | undefined, LibraryStat], NodeData | undefined>(
      `reading ${path}`,
      path,
      (client, full, done) => (watch ? client.getData(full, noticed, done) : client.getData(full, done)),
      (data, stat) => {
        const content = data ?? NO_DATA;
        if (content.length !== stat.dataLength) throw new Error('its length is not what it was said to be');
        return { data: content, stat: toNodeStat(stat) };
      },
      signal,
      'NO_NODE',
    );
  }

  /** The names of the node's children, or undefined when there is no such node (which leaves no watch). */
  getChildren(path: string, { watch = false, signal }: ReadOptions = {}): Promise<readonly string[] | undefined> {
    return this.run<[string[] | undefined, LibraryStat], readonly string[] | undefined>(
      `listing ${path}`,
      path,
      (client, full, done) => (watch ? client.getChildren(full, noticed, done) : client.getChildren(full, done)),
      (names) => names ?? [],
      signal,
      'NO_NODE',
    );
  }

  /** What is known of the node, or undefined when there is none; the watch is left either way. */
  exists(path: string, { watch = false, signal }: ReadOptions = {}): Promise<NodeStat | undefined> {
    return this.run<[LibraryStat | null], NodeStat | undefined>(
      `looking for ${path}`,
      path,
      (client, full, done) => (watch ? client.exists(full, noticed, done) : client.exists(full, done)),
      (stat) => (stat === null ? undefined : toNodeStat(stat)),
      signal,
    );
  }

  /**
   * Creates a node, and the nodes above it when they are missing. Resolves with its path, which for a sequential node is
   * longer than the one that was given.
   *
   * @throws ZooKeeperError `NODE_EXISTS` and others
   */
  async create(
    path: string,
    data: Buffer = NO_DATA,
    options: { readonly mode?: CreateMode; readonly signal?: AbortSignal } = {},
  ): Promise<string> {
    const mode = MODES[options.mode ?? 'persistent'];
    const create = (): Promise<string | undefined> =>
      this.run<[string], string | undefined>(
        `creating ${path}`,
        path,
        (client, full, done) => client.create(full, data, this.acl(), mode, done),
        (created) => created.slice(this.chroot.length),
        options.signal,
        'NO_NODE',
      );
    // Somebody may remove the nodes above in between: containers vanish when they are empty.
    for (let tries = 0; tries < 3; tries += 1) {
      const created = await create();
      if (created !== undefined) return created;
      await this.ensure(parentPath(path) ?? '/', options.signal);
    }
    throw new ZooKeeperError('NO_NODE', `creating ${path} failed: the nodes above it vanish again and again`, {
      backend: this.name,
    });
  }

  /** Makes sure that the node and those above it are there. */
  async ensure(path: string, signal?: AbortSignal): Promise<void> {
    if (path === '/') return;
    try {
      await this.create(path, NO_DATA, defined({ signal }));
    } catch (error) {
      if (!isFailure(error, 'NODE_EXISTS')) throw error;
    }
  }

  /**
   * Replaces the node's data; undefined when there is no such node.
   *
   * @param version only when it still has this version. @default any
   * @throws ZooKeeperError `BAD_VERSION` and others
   */
  setData(
    path: string,
    data: Buffer,
    { version = -1, signal }: { readonly version?: number; readonly signal?: AbortSignal } = {},
  ): Promise<NodeStat | undefined> {
    return this.run<[LibraryStat], NodeStat | undefined>(
      `writing ${path}`,
      path,
      (client, full, done) => client.setData(full, data, version, done),
      toNodeStat,
      signal,
      'NO_NODE',
    );
  }

  /**
   * Removes the node; resolves with whether it was there.
   *
   * @param version only when it still has this version. @default any
   * @throws ZooKeeperError `BAD_VERSION`, `NOT_EMPTY` and others
   */
  async remove(
    path: string,
    { version = -1, signal }: { readonly version?: number; readonly signal?: AbortSignal } = {},
  ): Promise<boolean> {
    const removed = await this.run<[], true | undefined>(
      `removing ${path}`,
      path,
      (client, full, done) => client.remove(full, version, done),
      () => true,
      signal,
      'NO_NODE',
    );
    return removed ?? false;
  }

  private async run<A extends unknown[], T>(
    what: string,
    path: string,
    send: (client: LibraryClient, full: string, done: Callback<A>) => void,
    read: (...answer: A) => T,
    signal: AbortSignal | undefined,
    absence?: string,
  ): Promise<T> {
    assertPath(path);
    const connection = await this.session.connected(this.waitMs, signal);
    if (!this.chrootExists) await this.createChroot();
    const full = path === '/' ? this.chroot || '/' : this.chroot + path;
    try {
      return await connection.request<A, T>(what, (client, done) => send(client, full, done), read);
    } catch (error) {
      if (absence !== undefined && isFailure(error, absence)) return undefined as T;
      throw error;
    }
  }

  /** Once is enough: nobody removes it while it is in use. */
  private async createChroot(): Promise<void> {
    const connection = await this.session.connected(this.waitMs, undefined);
    let path = '';
    for (const name of this.chroot.slice(1).split('/')) {
      path = childPath(path === '' ? '/' : path, name);
      const level = path;
      try {
        await connection.request<[string], void>(
          `creating ${level}`,
          (client, done) => client.create(level, NO_DATA, this.acl(), MODES.persistent, done),
          () => undefined,
        );
      } catch (error) {
        // Without the right to create it may be there all the same.
        if (!isFailure(error, 'NODE_EXISTS', 'NO_AUTH')) throw error;
      }
    }
    this.chrootExists = true;
  }

  private acl(): readonly unknown[] {
    const { library } = this;
    if (library === undefined) return [];
    const id = this.access === 'open' ? new library.Id('world', 'anyone') : new library.Id('auth', '');
    return [new library.ACL(ALL_PERMISSIONS, id)];
  }

  private dispatch(event: NodeEvent): void {
    if (this.chroot !== '' && event.path !== this.chroot && !event.path.startsWith(`${this.chroot}/`)) return;
    const path = this.chroot === '' ? event.path : event.path.slice(this.chroot.length) || '/';
    const local = { path, type: event.type };
    this.tell(path, local);
    const parent = parentPath(path);
    if (parent !== undefined) this.tell(parent, local);
  }

  private tell(path: string, event: NodeEvent): void {
    // A copy: a listener may leave while it is told.
    for (const listener of Array.from(this.listeners.get(path) ?? [])) {
      try {
        listener(event);
      } catch (error) {
        this.onListenerError(error);
      }
    }
  }
}

/** @throws DiscoveryError `BACKEND_CLOSED` */
export function closedError(backend: string, what: string): DiscoveryError {
  return new DiscoveryError('BACKEND_CLOSED', `${what} was closed`, { backend });
}
