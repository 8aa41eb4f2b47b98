import { Connection, type ConnectionOwner } from './connection.js';
import type { Wire, WireClientOptions, WireHandler, WireRequest, WireRequestOptions } from './undici-port.js';

/** A request that the pool finds a connection for. */
export interface Job extends WireHandler {
  readonly request: WireRequest | WireRequestOptions;
  /** Set by the pool while the job has a connection. */
  connection: Connection | undefined;
}

/**
 * The connections to one origin. The one used last is used next, so that those beyond the need grow old and close;
 * when the last socket is closed and nobody waits, the pool itself is over and says so, which needs no timer.
 */
export class OriginPool implements ConnectionOwner {
  /** The most recently used one is at the end. */
  private readonly idle: Connection[] = [];
  private readonly all = new Set<Connection>();
  private readonly waiting = new Set<Job>();
  private readonly closing = new Set<Promise<void>>();
  private sockets = 0;
  private closed = false;

  constructor(
    private readonly wire: Wire,
    readonly origin: string,
    private readonly options: WireClientOptions,
    private readonly maxConnections: number,
    private readonly onEmpty: (pool: OriginPool) => void,
  ) {}

  /** Sockets that are connected. */
  get socketCount(): number {
    return this.sockets;
  }

  /** Requests that have a connection or wait for one. */
  get requestCount(): number {
    return this.all.size - this.idle.length + this.waiting.size;
  }

  /** Sends the job now, or when a connection is free. */
  run(job: Job): void {
    const connection = this.idle.pop() ?? (this.all.size < this.maxConnections ? this.open() : undefined);
    if (connection === undefined) {
      this.waiting.add(job);
      return;
    }
    job.connection = connection;
    connection.send(job.request, job);
  }

  /** The job's answer is complete: its connection is free. */
  done(job: Job): void {
    const { connection } = job;
    if (connection === undefined) return;
    job.connection = undefined;
    for (const next of this.waiting) {
      this.waiting.delete(next);
      next.connection = connection;
      connection.send(next.request, next);
      return;
    }
    if (this.closed) this.discard(connection);
    else this.idle.push(connection);
  }

  /** The job failed or was given up: its connection is closed, for nobody knows what is still on it. */
  failed(job: Job): void {
    this.waiting.delete(job);
    const { connection } = job;
    if (connection === undefined) return;
    job.connection = undefined;
    this.discard(connection);
    for (const next of this.waiting) {
      this.waiting.delete(next);
      this.run(next);
      return;
    }
  }

  /** Closes what is idle now and the rest when its answer is complete. */
  release(): void {
    this.closed = true;
    for (const connection of this.idle.splice(0)) this.discard(connection);
  }

  /** Closes all sockets; what is on them fails. Resolves when they are closed. */
  async destroy(): Promise<void> {
    this.closed = true;
    const reason = Object.assign(new Error('the HTTP transport was closed'), { code: 'ECONNRESET' });
    for (const job of [...this.waiting]) {
      this.waiting.delete(job);
      job.onError(reason);
    }
    for (const connection of this.all) this.discard(connection);
    await Promise.all(this.closing);
  }

  connected(): void {
    this.sockets += 1;
  }

  disconnected(connection: Connection): void {
    this.sockets -= 1;
    const at = this.idle.indexOf(connection);
    if (at === -1) return;
    this.idle.splice(at, 1);
    this.discard(connection);
  }

  private open(): Connection {
    const connection = new Connection(this.wire, this.origin, this.options, this);
    this.all.add(connection);
    return connection;
  }

  private discard(connection: Connection): void {
    if (!this.all.delete(connection)) return;
    // Later: undici may be in the middle of telling us, and takes no destroy() there.
    const closed: Promise<void> = Promise.resolve()
      .then(() => connection.destroy())
      .finally(() => this.closing.delete(closed));
    this.closing.add(closed);
    if (this.all.size === 0 && this.waiting.size === 0) this.onEmpty(this);
  }
}
