import { type DriverHost, inParallel, type PullSource, Turns } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { writingOf, type NodeStat } from './node-stat.js';
import { childPath } from './paths.js';

import { watchedSource } from './watched-source.js';
import type { ZooKeeperClient } from './zookeeper-client.js';

/** A child whose data could be read. */
export interface Child<T> {
  readonly name: string;
  readonly value: T;
  /** What wrote it: see {@link writingOf}. */
  readonly writing: string;
  /** The transaction that created it. */
  readonly czxid: bigint;
}

/** One child before and after a reading; either is undefined when it wasn't there. */
export interface ChildChange<T> {
  readonly name: string;
  readonly before: Child<T> | undefined;
  readonly after: Child<T> | undefined;
}

/** The children of a node, and what the reading changed that brought them. */
export interface Children<T> {
  readonly children: ReadonlyMap<string, Child<T>>;
  readonly changes: readonly ChildChange<T>[];
}

/** Options of {@link watchedChildren}. */
export interface WatchedChildrenOptions<T> {
  readonly client: ZooKeeperClient;
  readonly host: Pick<DriverHost, 'name' | 'skip'>;
  /** What is read, for messages. */
  readonly what: string;
  readonly path: string;
  /** Create the node when it is missing, rather than wait for it. */
  readonly create: boolean;
  /** Milliseconds between readings of everything, which stand behind the watches. */
  readonly rescanMs: number;
  /** Reads one child's data; what it throws is told, and the child left out. */
  readonly decode: (name: string, data: Buffer, stat: NodeStat) => T;
  /** Told of each read of a child's data; for measurements. */
  readonly onRead?: () => void;
}

/** Reads that are on their way at the same time. */
const IN_PARALLEL = 512;

/** Data that is longer is no record. */
const MAX_RECORD_BYTES = 256 * 1024;

/** The hint that the list of children changed; no child is called so. */
const LIST = '/';

/** Failures of the connection, and not of a record. */
const OUTAGES: ReadonlySet<string> = new Set(['BACKEND_UNAVAILABLE', 'ABORTED', 'BACKEND_CLOSED']);

/**
 * The children of a node and their data, kept up to date: a watch on the list and one on each child, each re-armed by
 * the read that follows it, so that a change costs the reading of what changed.
 */
export function watchedChildren<T>(options: WatchedChildrenOptions<T>): PullSource<Children<T>> {
  const { client, path, what, rescanMs, host } = options;
  /** Children that could not be read: none of ours, but a change may make them so. */
  let skipped: ReadonlySet<string> = new Set();
  return watchedSource({
    client,
    what,
    rescanMs,
    listen: (again) =>
      client.onNode(path, (event) => {
        if (event.path === path) again(LIST);
        // A child that was deleted may be there again already, under the same name and without a watch.
        else if (event.type !== 'children') again(event.path.slice(event.path.lastIndexOf('/') + 1));
      }),
    read: async ({ changed, previous, signal }) => {
      const everything = changed === 'all';
      const before = previous?.children ?? new Map<string, Child<T>>();
      const list = everything || changed.has(LIST);
      const names = list ? await listOf(options, signal) : [...before.keys(), ...skipped];
      const next = list ? keep(before, names) : new Map(before);
      const bad = new Set(names.filter((name) => skipped.has(name)));
      const toRead = names.filter(
        (name) => everything || changed.has(name) || !(before.has(name) || skipped.has(name)),
      );
      const turns = new Turns();
      await inParallel(toRead, IN_PARALLEL, async (name) => {
        let version: string | undefined;
        try {
          bad.delete(name);
          options.onRead?.();
          const found = await client.getData(childPath(path, name), { watch: true, signal });
          // Answers come by the hundred.
          const other = turns.next();
          if (other !== undefined) await other;
          version = found === undefined ? undefined : writingOf(found.stat);
          if (found === undefined) next.delete(name);
          else if (before.get(name)?.writing !== version) next.set(name, childOf(name, found, options));
        } catch (error) {
          if (error instanceof DiscoveryError && OUTAGES.has(error.code)) throw error;
          next.delete(name);
          bad.add(name);
          host.skip(childPath(path, name), error, version);
        }
      });
      const changes = changesOf(before, next);
      if (!signal.aborted) skipped = bad;
      return previous !== undefined && changes.length === 0 ? previous : { children: next, changes };
    },
  });
}

async function listOf<T>(
  { client, path, create }: WatchedChildrenOptions<T>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  for (;;) {
    const names = await client.getChildren(path, { watch: true, signal });
    if (names !== undefined) return names;
    if (create) await client.ensure(path, signal);
    // The watch for its creation stays when it isn't there.
    else if ((await client.exists(path, { watch: true, signal })) === undefined) return [];
  }
}

function childOf<T>(
  name: string,
  { stat, data }: { readonly stat: NodeStat; readonly data: Buffer },
  { decode, host }: WatchedChildrenOptions<T>,
): Child<T> {
  if (data.length > MAX_RECORD_BYTES) {
    const problem = `the record is ${data.length} bytes long`;
    throw new DiscoveryError('INVALID_INSTANCE', problem, { backend: host.name });
  }
  return { name, value: decode(name, data, stat), writing: writingOf(stat), czxid: stat.czxid };
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
