import type { Socket } from 'node:net';
import { peerError } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';

/*
 * node-zookeeper-client as far as we use it. Declared here and not imported from its types, which users don't have.
 */

/** The answer to a request, in Node's callback style; the error has ZooKeeper's code as `code`. */
export type Callback<A extends unknown[]> = (error: unknown, ...answer: A) => void;

/** What ZooKeeper knows of a node; longs are 8 bytes. */
export interface LibraryStat {
  readonly czxid: Buffer;
  readonly mzxid: Buffer;
  readonly pzxid: Buffer;
  readonly ctime: Buffer;
  readonly mtime: Buffer;
  readonly version: number;
  readonly cversion: number;
  readonly ephemeralOwner: Buffer;
  readonly dataLength: number;
  readonly numChildren: number;
}

/** Its client. */
export interface LibraryClient {
  connect(): void;
  close(): void;
  addAuthInfo(scheme: string, credentials: Buffer): void;
  getSessionId(): Buffer;
  getSessionPassword(): Buffer;
  getSessionTimeout(): number;
  on(event: 'state', listener: (state: { readonly code: number }) => void): void;
  create(path: string, data: Buffer, acl: readonly unknown[], mode: number, done: Callback<[string]>): void;
  remove(path: string, version: number, done: Callback<[]>): void;
  exists(path: string, done: Callback<[LibraryStat | null]>): void;
  exists(path: string, watcher: () => void, done: Callback<[LibraryStat | null]>): void;
  getData(path: string, done: Callback<[Buffer | undefined, LibraryStat]>): void;
  getData(path: string, watcher: () => void, done: Callback<[Buffer | undefined, LibraryStat]>): void;
  getChildren(path: string, done: Callback<[string[] | undefined, LibraryStat]>): void;
  getChildren(path: string, watcher: () => void, done: Callback<[string[] | undefined, LibraryStat]>): void;
  setData(path: string, data: Buffer, version: number, done: Callback<[LibraryStat]>): void;
}

/**
 * The part of the client that owns the socket. It is not in the library's documentation, but what it leaves undone (a
 * server that falls silent, an answer that can't be read, the end of a connection that is being opened) can be done
 * from here only. {@link managerOf} checks that it is what we expect.
 */
export interface LibraryConnectionManager {
  socket?: Socket;
  servers: { readonly host: string; readonly port: number }[];
  zxid: Buffer;
  connectTimeoutHandler: ReturnType<typeof setTimeout> | null;
  watcherManager: LibraryWatches;
  connect: () => void;
  findNextServer: (callback: (server: { readonly host: string; readonly port: number }) => void) => void;
  onSocketConnected(): void;
  onSocketData: (chunk: Buffer) => void;
  onSocketDrain(): void;
  onSocketClosed(): void;
  onSocketError(error: unknown): void;
}

/** Where the library keeps who watches what. */
export interface LibraryWatches {
  isEmpty(): boolean;
  emit(event: { readonly type: number; readonly path: string }): void;
  registerDataWatcher(): void;
  registerChildWatcher(): void;
  registerExistenceWatcher(): void;
}

/** The package. */
export interface ZooKeeperLibrary {
  createClient(servers: string, options: Readonly<Record<string, unknown>>): LibraryClient;
  readonly ACL: new (permissions: number, id: unknown) => unknown;
  readonly Id: new (scheme: string, id: string) => unknown;
}

/** @throws DiscoveryError `MISSING_PEER` */
export async function loadLibrary(backend: string): Promise<ZooKeeperLibrary> {
  try {
    const loaded: unknown = await import('node-zookeeper-client');
    // CommonJS: everything is in `default` too, and in some loaders only there.
    return ((loaded as { readonly default?: unknown }).default ?? loaded) as ZooKeeperLibrary;
  } catch (error) {
    throw peerError(backend, 'node-zookeeper-client', error);
  }
}

/** @throws DiscoveryError `MISSING_PEER` when the installed version isn't built as version 1.1 is */
export function managerOf(client: LibraryClient, backend: string): LibraryConnectionManager {
  const { connectionManager: manager } = client as unknown as { readonly connectionManager?: LibraryConnectionManager };
  const fits =
    typeof manager?.connect === 'function' &&
    typeof manager.onSocketData === 'function' &&
    typeof manager.findNextServer === 'function' &&
    typeof manager.onSocketConnected === 'function' &&
    typeof manager.onSocketDrain === 'function' &&
    typeof manager.onSocketClosed === 'function' &&
    typeof manager.onSocketError === 'function' &&
    Array.isArray(manager.servers) &&
    Buffer.isBuffer(manager.zxid);
  if (fits) return manager;
  throw new DiscoveryError(
    'MISSING_PEER',
    `the ${backend} backend needs node-zookeeper-client ^1.1.3, and another version is installed: npm install node-zookeeper-client@^1.1.3`,
    { backend, field: 'node-zookeeper-client' },
  );
}
