import type { BackendContext, Unsubscribe } from '../../../backend/index.js';
import type { DiscoveryError } from '../../../model/index.js';
import type { NodeEvent } from './connection.js';
import { inParallel } from './parallel.js';
import { childPath } from './paths.js';
import { Scanner } from './scanner.js';
import type { ZooKeeperClient } from './zookeeper-client.js';

/** A node of a tree. */
export interface TreeNode {
  readonly path: string;
  readonly data: Buffer;
  readonly mzxid: bigint;
  /** Names of its children; empty when the tree isn't read deep. */
  readonly children: readonly string[];
}

/** Options of {@link WatchedTree}. */
export interface WatchedTreeOptions {
  readonly client: ZooKeeperClient;
  readonly context: BackendContext;
  readonly backend: string;
  readonly what: string;
  /** The nodes to begin with, which may not exist. */
  readonly roots: readonly string[];
  /** Whether what is below the roots belongs to it. */
  readonly deep: boolean;
  readonly rescanMs: number;
  readonly onScan: (outcome: TreeOutcome) => void;
}

/** What came of a scan: every node that there is, by path. */
export type TreeOutcome =
  | { readonly nodes: ReadonlyMap<string, TreeNode>; readonly error?: undefined }
  | { readonly error: DiscoveryError; readonly nodes?: undefined };

const IN_PARALLEL = 128;

/** Some nodes and all that is below them, kept up to date; a change costs the reading of the nodes that changed. */
export class WatchedTree {
  private readonly scanner: Scanner;
  private nodes: ReadonlyMap<string, TreeNode> = new Map();
  private dirty = new Set<string>();
  private readonly listening = new Map<string, Unsubscribe>();

  constructor(private readonly options: WatchedTreeOptions) {
    const { onScan } = options;
    this.scanner = new Scanner({
      ...options,
      scan: (everything, signal) => this.scan(everything, signal),
      onScan: () => onScan({ nodes: this.nodes }),
      onFailure: (error) => onScan({ error }),
    });
    this.scanner.start();
  }

  refresh(): Promise<void> {
    return this.scanner.refresh();
  }

  async close(): Promise<void> {
    for (const stop of this.listening.values()) stop();
    this.listening.clear();
    await this.scanner.close();
  }

  private onEvent(event: NodeEvent, path: string): void {
    // Events of children come to the parent too.
    if (event.path !== path) return;
    this.dirty.add(path);
    this.scanner.again(false);
  }

  private async scan(everything: boolean, signal: AbortSignal): Promise<boolean> {
    const { roots } = this.options;
    const dirty = this.dirty;
    this.dirty = new Set();
    const next = new Map<string, TreeNode>();
    const visit = async (path: string): Promise<void> => {
      const known = this.nodes.get(path);
      const node = everything || dirty.has(path) || known === undefined ? await this.read(path, signal) : known;
      if (node === undefined) return;
      next.set(path, node);
      await inParallel(node.children, IN_PARALLEL, (name) => visit(childPath(path, name)));
    };
    await inParallel(roots, IN_PARALLEL, visit);
    if (signal.aborted) return false;
    for (const [path, stop] of this.listening) {
      if (next.has(path) || roots.includes(path)) continue;
      stop();
      this.listening.delete(path);
    }
    const same = next.size === this.nodes.size && [...next].every(([path, node]) => isSame(this.nodes.get(path), node));
    this.nodes = next;
    return !same;
  }

  private async read(path: string, signal: AbortSignal): Promise<TreeNode | undefined> {
    const { client, deep, roots } = this.options;
    if (!this.listening.has(path)) {
      this.listening.set(
        path,
        client.onNode(path, (event) => this.onEvent(event, path)),
      );
    }
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
  }
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
