import { inParallel, type PullSource, type Unsubscribe } from '../../../backend/index.js';

import { childPath } from './paths.js';
import { watchedSource } from './watched-source.js';
import type { ZooKeeperClient } from './zookeeper-client.js';

/** A node of a tree. */
export interface TreeNode {
  readonly path: string;
  readonly data: Buffer;
  readonly mzxid: bigint;
  /** Names of its children; empty when the tree isn't read deep. */
  readonly children: readonly string[];
}

/** Every node of a tree that there is, by path. */
export type TreeNodes = ReadonlyMap<string, TreeNode>;

/** Options of {@link watchedTree}. */
export interface WatchedTreeOptions {
  readonly client: ZooKeeperClient;
  readonly what: string;
  /** The nodes to begin with, which may not exist. */
  readonly roots: readonly string[];
  /** Whether what is below the roots belongs to it. */
  readonly deep: boolean;
  readonly rescanMs: number;
}

const IN_PARALLEL = 128;

/** Some nodes and all that is below them, kept up to date; a change costs the reading of the nodes that changed. */
export function watchedTree({ client, what, roots, deep, rescanMs }: WatchedTreeOptions): PullSource<TreeNodes> {
  const listening = new Map<string, Unsubscribe>();
  let again = (_path: string): void => {};

  const listenTo = (path: string): void => {
    if (listening.has(path)) return;
    // Events of children come to the parent too.
    const onEvent = (event: { readonly path: string }): void => {
      if (event.path === path) again(path);
    };
    listening.set(path, client.onNode(path, onEvent));
  };

  const readNode = async (path: string, signal: AbortSignal): Promise<TreeNode | undefined> => {
    listenTo(path);
    for (;;) {
      const [found, children] = await Promise.all([
        client.getData(path, { watch: true, signal }),
        deep ? client.getChildren(path, { watch: true, signal }) : Promise.resolve([]),
      ]);
      if (found !== undefined && children !== undefined) {
        return { path, data: found.data, mzxid: found.stat.mzxid, children: [...children].sort() };
      }
      // A root that is missing is waited for; anything else comes with its parent's list.
      if (!roots.includes(path) || (await client.exists(path, { watch: true, signal })) === undefined) return undefined;
    }
  };

  return watchedSource<TreeNodes>({
    client,
    what,
    rescanMs,
    listen: (tell) => {
      again = tell;
      return () => {
        for (const stop of listening.values()) stop();
        listening.clear();
      };
    },
    read: async ({ changed, previous = new Map<string, TreeNode>(), signal }) => {
      const next = new Map<string, TreeNode>();
      const visit = async (path: string): Promise<void> => {
        const known = previous.get(path);
        const dirty = changed === 'all' || changed.has(path);
        const node = dirty || known === undefined ? await readNode(path, signal) : known;
        if (node === undefined) return;
        next.set(path, node);
        await inParallel(node.children, IN_PARALLEL, (name) => visit(childPath(path, name)));
      };
      await inParallel(roots, IN_PARALLEL, visit);
      if (signal.aborted) return previous;
      for (const [path, stop] of listening) {
        if (next.has(path) || roots.includes(path)) continue;
        stop();
        listening.delete(path);
      }
      const same = next.size === previous.size && [...next].every(([path, node]) => isSame(previous.get(path), node));
      return same && previous.size > 0 ? previous : next;
    },
  });
}

function isSame(a: TreeNode | undefined, b: TreeNode): boolean {
  return (
    a === b ||
    (a !== undefined &&
      a.mzxid === b.mzxid &&
      a.children.length === b.children.length &&
      a.children.every((name, index) => name === b.children[index]))
  );
}
