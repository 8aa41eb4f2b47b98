import {
  Reporter,
  type BackendContext,
  type ConfigDriver,
  type ConfigReport,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import {
  describe,
  DiscoveryError,
  nameProblem,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
} from '../../model/index.js';
import { isFailure } from './client/errors.js';
import type { NodeStat } from './client/node-stat.js';
import { inParallel } from './client/parallel.js';
import { childPath, parentPath } from './client/paths.js';
import { WatchedTree, type TreeNode, type TreeOutcome } from './client/watched-tree.js';
import { closedError, type ZooKeeperClient } from './client/zookeeper-client.js';
import { contextDocument, contextsOf, formatOf, nodeDocument, saysSomething } from './zookeeper.config-codec.js';

/** What the driver needs of its backend. */
export interface ZooKeeperConfigDriverOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly client: ZooKeeperClient;
  readonly root: string;
  readonly defaultContext: string;
  readonly profileSeparator: string;
  readonly rescanMs: number;
  readonly assertOpen: () => void;
  readonly adopt: (close: () => Promise<unknown>) => () => void;
}

/** What of the tree a scope is about. */
interface Selection {
  readonly what: string;
  readonly roots: readonly string[];
  readonly deep: boolean;
  readonly documents: (nodes: ReadonlyMap<string, TreeNode>) => readonly ConfigDocument[];
}

/**
 * The configuration side, in Spring Cloud Zookeeper's layout: `/config/<application>,<profile>/<key>`. A document's id is
 * its path below the root; an application's contexts are read as one document each.
 */
export class ZooKeeperConfigDriver implements ConfigDriver {
  readonly capabilities = { publish: true, compareAndSet: true } as const;

  constructor(private readonly options: ZooKeeperConfigDriverOptions) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    this.options.assertOpen();
    const { adopt } = this.options;
    let disown = (): void => {};
    const watch = new ConfigWatch(this.options, this.select(scope), report, () => disown());
    disown = adopt(() => watch.close());
    return watch;
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.options.assertOpen();
    const path = this.pathOf(id);
    const found = await this.options.client.getData(path, signal === undefined ? {} : { signal });
    if (found === undefined || isBranch(found.stat)) return undefined;
    return nodeDocument(id, { path, data: found.data, mzxid: found.stat.mzxid, children: [] });
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.options.assertOpen();
    const path = this.pathOf(id);
    assertFormat(id, options.format);
    const { client } = this.options;
    const data = Buffer.from(content);
    for (let tries = 0; ; tries += 1) {
      const stat = await client.exists(path, signalOf(options));
      this.assertRevision(id, stat, options);
      try {
        if (stat === undefined) {
          await client.create(path, data, signalOf(options));
          // Somebody may have written since: then it is theirs to know, and a conflict for whoever compares.
          const created = await client.exists(path, signalOf(options));
          if (created !== undefined) return (created.version === 0 ? created.mzxid : created.czxid).toString();
          continue;
        }
        const written = await client.setData(path, data, { version: stat.version, ...signalOf(options) });
        if (written !== undefined) return written.mzxid.toString();
      } catch (error) {
        // Written in between by somebody else. Who compares is told so by the next look.
        if (!isFailure(error, 'BAD_VERSION', 'NODE_EXISTS') || tries >= 20) throw error;
      }
    }
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.options.assertOpen();
    const path = this.pathOf(id);
    const { client } = this.options;
    for (let tries = 0; ; tries += 1) {
      const stat = await client.exists(path, signalOf(options));
      this.assertRevision(id, stat, options);
      if (stat === undefined || isBranch(stat)) return false;
      try {
        if (stat.childCount > 0) {
          // What is below it stays: only its own value goes.
          await client.setData(path, Buffer.alloc(0), { version: stat.version, ...signalOf(options) });
          return true;
        }
        if (!(await client.remove(path, { version: stat.version, ...signalOf(options) }))) continue;
        await this.removeEmptyParents(path, options);
        return true;
      } catch (error) {
        if (!isFailure(error, 'BAD_VERSION', 'NOT_EMPTY') || tries >= 20) throw error;
      }
    }
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.options.assertOpen();
    const { client, root } = this.options;
    const read = signal === undefined ? {} : { signal };
    const ids: string[] = [];
    const visit = async (path: string, id: string): Promise<void> => {
      const [stat, names] = await Promise.all([client.exists(path, read), client.getChildren(path, read)]);
      if (stat === undefined || names === undefined) return;
      if (id !== '' && id.startsWith(prefix) && !isBranch(stat)) ids.push(id);
      await inParallel(names, 64, (name) => visit(childPath(path, name), id === '' ? name : `${id}/${name}`));
    };
    await visit(root, '');
    return ids.sort();
  }

  private select(scope: ConfigScope): Selection {
    const { root, defaultContext, profileSeparator, context, backend } = this.options;
    if (scope.kind === 'document') {
      const path = this.pathOf(scope.id);
      return {
        what: `the configuration ${scope.id}`,
        roots: [path],
        deep: false,
        documents: (nodes) => {
          const node = nodes.get(path);
          return node === undefined ? [] : [nodeDocument(scope.id, node)];
        },
      };
    }
    if (scope.kind === 'prefix') {
      const folder = scope.prefix.includes('/') ? scope.prefix.slice(0, scope.prefix.lastIndexOf('/')) : '';
      return {
        what: `the configuration below ${scope.prefix}`,
        roots: [folder === '' ? root : this.pathOf(folder)],
        deep: true,
        documents: (nodes) =>
          [...nodes.values()]
            .map((node) => ({ node, id: node.path.slice(root.length + 1) }))
            .filter(({ node, id }) => id !== '' && id.startsWith(scope.prefix) && saysSomething(node))
            .sort((a, b) => (a.id < b.id ? -1 : 1))
            .map(({ node, id }) => nodeDocument(id, node)),
      };
    }
    const contexts = contextsOf(scope.application, scope.profiles, defaultContext, profileSeparator);
    const skipped = new Set<string>();
    const skip = (path: string): void => {
      if (skipped.has(path)) return;
      skipped.add(path);
      const error = new DiscoveryError('CONFIG_DOCUMENT_INVALID', `${path} can't be the name of a property`, {
        backend,
      });
      context.report({ type: 'record.skipped', backend, record: path, error });
    };
    return {
      what: `the configuration of ${scope.application}`,
      roots: contexts.map((name) => this.pathOf(name)),
      deep: true,
      documents: (nodes) =>
        contexts
          .map((name) => contextDocument(name, childPath(root, name), nodes, skip))
          .filter((document) => document !== undefined),
    };
  }

  /** @throws DiscoveryError `INVALID_NAME` unless `id` is names with single slashes between them */
  private pathOf(id: string): string {
    const problem = typeof id === 'string' ? id.split('/').map(nameProblem).find(Boolean) : 'must be a text';
    if (problem === undefined) return `${this.options.root}/${id}`;
    throw new DiscoveryError('INVALID_NAME', `each part of a document's id ${problem}, got ${describe(id)}`, {
      field: 'id',
    });
  }

  private assertRevision(id: string, stat: NodeStat | undefined, { ifRevision }: WriteOptions): void {
    if (ifRevision === undefined) return;
    const present = stat === undefined || isBranch(stat) ? null : stat.mzxid.toString();
    if (present === ifRevision) return;
    const there = present === null ? "doesn't exist" : `has revision ${present}`;
    const expected = ifRevision === null ? "shouldn't exist" : `should have revision ${ifRevision}`;
    throw new DiscoveryError('CONFIG_CONFLICT', `the document '${id}' ${there} and ${expected}; read it again`, {
      backend: this.options.backend,
      field: 'ifRevision',
    });
  }

  /** Without its last child a node that only held children would become a property of its own, with no value. */
  private async removeEmptyParents(path: string, options: WriteOptions): Promise<void> {
    const { client, root } = this.options;
    for (let parent = parentPath(path); parent !== undefined && parent !== root; parent = parentPath(parent)) {
      try {
        const stat = await client.exists(parent, signalOf(options));
        if (stat === undefined || stat.childCount > 0 || stat.dataLength > 0) return;
        await client.remove(parent, { version: stat.version, ...signalOf(options) });
      } catch (error) {
        if (isFailure(error, 'BAD_VERSION', 'NOT_EMPTY', 'NO_AUTH')) return;
        throw error;
      }
    }
  }
}

/** Reports the documents of one scope after every change. */
class ConfigWatch implements Watch {
  private readonly reporter: Reporter<ConfigReport>;
  private readonly tree: WatchedTree;
  private sent: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;

  constructor(
    private readonly options: ZooKeeperConfigDriverOptions,
    private readonly selection: Selection,
    report: (report: ConfigReport) => void,
    private readonly onClosed: () => void,
  ) {
    const { context, backend } = options;
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `the watch of ${selection.what} on ${backend}`, error }),
    );
    this.tree = new WatchedTree({ ...options, ...selection, onScan: (outcome) => this.tell(outcome) });
  }

  async refresh(): Promise<void> {
    const { backend } = this.options;
    if (this.closing !== undefined) throw closedError(backend, `the watch of ${this.selection.what}`);
    try {
      await this.tree.refresh();
    } finally {
      await this.sent;
    }
  }

  close(): Promise<void> {
    this.reporter.close();
    this.closing ??= this.tree.close().finally(() => this.onClosed());
    return this.closing;
  }

  private tell({ nodes, error }: TreeOutcome): void {
    const report: ConfigReport =
      error === undefined ? { documents: Object.freeze([...this.selection.documents(nodes)]) } : { error };
    this.sent = this.reporter.send(report);
  }
}

/** True for a node that only holds others. */
function isBranch(stat: NodeStat): boolean {
  return stat.dataLength === 0 && stat.childCount > 0;
}

function signalOf({ signal }: WriteOptions): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** A node's format is its extension: a text that is stored under another would be read as something else. */
function assertFormat(id: string, format: ConfigFormat | undefined): void {
  const actual = formatOf(id);
  if (format === undefined || format === actual) return;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `the node ${id} is read as ${actual}, not as ${format}; give it the extension of its format (.yaml, .json, .properties)`,
    { field: 'format' },
  );
}
