import type { BackendContext, Unsubscribe } from '../../../backend/index.js';
import { DiscoveryError, toDiscoveryError } from '../../../model/index.js';
import type { NodeEvent } from './connection.js';
import type { NodeStat } from './node-stat.js';
import { childPath } from './paths.js';
import { inParallel } from './parallel.js';
import { Scanner } from './scanner.js';
import type { ZooKeeperClient } from './zookeeper-client.js';

/** A child whose data could be read. */
export interface Child<T> {
  readonly name: string;
  readonly value: T;
  /** The transaction that wrote it. */
  readonly mzxid: bigint;
  /** The transaction that created it. */
  readonly czxid: bigint;
}

/** One child before and after a scan; either is undefined when it wasn't there. */
export interface ChildChange<T> {
  readonly name: string;
  readonly before: Child<T> | undefined;
  readonly after: Child<T> | undefined;
}

/** What came of a scan. */
export type ScanOutcome<T> =
  | {
      readonly children: ReadonlyMap<string, Child<T>>;
      readonly changes: readonly ChildChange<T>[];
      /** True when also those must be told whom no change concerns: the first scan, one asked for, one after a failure. */
      readonly all: boolean;
      readonly error?: undefined;
    }
  | { readonly error: DiscoveryError; readonly children?: undefined };

/** Options of {@link WatchedChildren}. */
export interface WatchedChildrenOptions<T> {
  readonly client: ZooKeeperClient;
  readonly context: BackendContext;
  readonly backend: string;
  /** What is read, for messages. */
  readonly what: string;
  readonly path: string;
  /** Create the node when it is missing, rather than wait for it. */
  readonly create: boolean;
  /** Milliseconds between scans of everything, which stand behind the watches. */
  readonly rescanMs: number;
  /** Reads one child's data; what it throws is reported, and the child left out. */
  readonly decode: (name: string, data: Buffer, stat: NodeStat) => T;
  /** Told of every scan: that it changed something, that somebody asked for it, or that it failed. */
  readonly onScan: (outcome: ScanOutcome<T>) => void;
}

/** Reads that are on their way at the same time. */
const IN_PARALLEL = 512;

/** Data that is longer is no record. */
const MAX_RECORD_BYTES = 256 * 1024;

/**
 * The children of a node and their data, kept up to date: a watch on the list and one on each child, each re-armed by
 * the read that follows it, so that a change costs the reading of what changed.
 */
export class WatchedChildren<T> {
  private readonly scanner: Scanner;
  private children: ReadonlyMap<string, Child<T>> = new Map();
  private changes: readonly ChildChange<T>[] = [];
  /** Children that could not be read, with the transaction that wrote them: each is told once. */
  private skipped = new Map<string, bigint>();
  private listChanged = true;
  private dataChanged = new Set<string>();
  private readonly release: Unsubscribe;
  /** Reads of children's data so far; for measurements. */
  reads = 0;

  constructor(private readonly options: WatchedChildrenOptions<T>) {
    const { client, path, onScan } = options;
    this.scanner = new Scanner({
      ...options,
      scan: (everything, signal) => this.scan(everything, signal),
      onScan: (all) => onScan({ children: this.children, changes: this.changes, all }),
      onFailure: (error) => onScan({ error }),
    });
    this.release = client.onNode(path, (event) => this.onEvent(event));
    this.scanner.start();
  }

  /** What was read last, or undefined before the first scan ended well. */
  get current(): ReadonlyMap<string, Child<T>> | undefined {
    return this.scanner.ready ? this.children : undefined;
  }

  /** Why the present list may be out of date. */
  get error(): DiscoveryError | undefined {
    return this.scanner.error;
  }

  /** Reads everything again; resolves after its outcome was told, rejects when it failed (which was told too). */
  refresh(): Promise<void> {
    return this.scanner.refresh();
  }

  async close(): Promise<void> {
    this.release();
    await this.scanner.close();
  }

  private onEvent({ path, type }: NodeEvent): void {
    if (path === this.options.path) this.listChanged = true;
    // A child that was deleted may be there again already, under the same name and without a watch.
    else if (type !== 'children') this.dataChanged.add(path.slice(path.lastIndexOf('/') + 1));
    else return;
    this.scanner.again(false);
  }

  private async scan(everything: boolean, signal: AbortSignal): Promise<boolean> {
    const list = this.listChanged || everything;
    const changed = this.dataChanged;
    this.listChanged = false;
    this.dataChanged = new Set();
    const names = list ? await this.list(signal) : [...this.children.keys()];
    const next = list ? keep(this.children, names) : new Map(this.children);
    const isKnown = (name: string): boolean => this.children.has(name) || this.skipped.has(name);
    const toRead = names.filter((name) => everything || changed.has(name) || !isKnown(name));
    // A child that could not be read is no child of ours, but a change may make it one.
    if (!list) for (const name of changed) if (this.skipped.has(name)) toRead.push(name);
    await inParallel(toRead, IN_PARALLEL, (name) => this.readInto(next, name, signal));
    if (signal.aborted) return false;
    if (list) this.skipped = keep(this.skipped, names);
    this.changes = changesOf(this.children, next);
    if (this.changes.length > 0) this.children = next;
    return this.changes.length > 0;
  }

  private async list(signal: AbortSignal): Promise<readonly string[]> {
    const { client, path, create } = this.options;
    for (;;) {
      const names = await client.getChildren(path, { watch: true, signal });
      if (names !== undefined) return names;
      if (create) await client.ensure(path, signal);
      // The watch for its creation stays when it isn't there.
      else if ((await client.exists(path, { watch: true, signal })) === undefined) return [];
    }
  }

  private async readInto(next: Map<string, Child<T>>, name: string, signal: AbortSignal): Promise<void> {
    const { client, path, decode } = this.options;
    this.reads += 1;
    const known = this.children.get(name);
    let mzxid = -1n;
    try {
      const found = await client.getData(childPath(path, name), { watch: true, signal });
      if (found === undefined) {
        next.delete(name);
        return;
      }
      const { stat, data } = found;
      mzxid = stat.mzxid;
      if (known?.mzxid === mzxid) return void next.set(name, known);
      if (data.length > MAX_RECORD_BYTES) throw this.unfit(`is ${data.length} bytes long`);
      next.set(name, { name, value: decode(name, data, stat), mzxid, czxid: stat.czxid });
      this.skipped.delete(name);
    } catch (error) {
      if (
        error instanceof DiscoveryError &&
        ['BACKEND_UNAVAILABLE', 'ABORTED', 'BACKEND_CLOSED'].includes(error.code)
      ) {
        throw error;
      }
      next.delete(name);
      this.skip(name, mzxid, error);
    }
  }

  /** Tells of a bad record, once for each version of it. */
  private skip(name: string, mzxid: bigint, error: unknown): void {
    if (this.skipped.get(name) === mzxid) return;
    this.skipped.set(name, mzxid);
    const { context, backend, path } = this.options;
    context.report({
      type: 'record.skipped',
      backend,
      record: childPath(path, name),
      error: toDiscoveryError(error, 'INVALID_INSTANCE', `${childPath(path, name)} can't be read`, { backend }),
    });
  }

  private unfit(problem: string): DiscoveryError {
    return new DiscoveryError('INVALID_INSTANCE', `the record ${problem}`, { backend: this.options.backend });
  }
}

function keep<V>(map: ReadonlyMap<string, V>, names: readonly string[]): Map<string, V> {
  const kept = new Map<string, V>();
  for (const name of names) {
    const value = map.get(name);
    if (value !== undefined) kept.set(name, value);
  }
  return kept;
}

function changesOf<T>(
  before: ReadonlyMap<string, Child<T>>,
  after: ReadonlyMap<string, Child<T>>,
): readonly ChildChange<T>[] {
  const changes: ChildChange<T>[] = [];
  for (const [name, child] of after) {
    const old = before.get(name);
    if (old !== child) changes.push({ name, before: old, after: child });
  }
  for (const [name, child] of before) if (!after.has(name)) changes.push({ name, before: child, after: undefined });
  return changes;
}
