import {
  assertDocumentId,
  assertFormat,
  type ConfigDriver,
  type ConfigReport,
  conflict,
  type DriverHost,
  formatByExtension,
  inParallel,
  layerNames,
  mapped,
  type Watch,
  type WriteOptions,
} from '../../backend/index.js';
import { defined, type ConfigDocument, type ConfigScope } from '../../model/index.js';
import { isFailure } from './client/errors.js';
import type { NodeStat } from './client/node-stat.js';

import { childPath, parentPath } from './client/paths.js';
import { watchedTree, type TreeNode } from './client/watched-tree.js';
import type { ZooKeeperClient } from './client/zookeeper-client.js';
import { contextDocument, nodeDocument, saysSomething } from './zookeeper.config-codec.js';

/** What the driver needs besides its backend. */
export interface ZooKeeperConfigDriverOptions {
  readonly client: ZooKeeperClient;
  readonly root: string;
  readonly defaultContext: string;
  readonly profileSeparator: string;
  readonly rescanMs: number;
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

  constructor(
    private readonly host: DriverHost,
    private readonly options: ZooKeeperConfigDriverOptions,
  ) {}

  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch {
    const { client, rescanMs } = this.options;
    const { documents, ...selection } = this.select(scope);
    const source = mapped(watchedTree({ client, rescanMs, ...selection }), (nodes) =>
      Object.freeze([...documents(nodes)]),
    );
    return this.host.documents(() => source, report);
  }

  async read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined> {
    this.host.assertOpen();
    const path = this.pathOf(id);
    const found = await this.options.client.getData(path, defined({ signal }));
    if (found === undefined || isBranch(found.stat)) return undefined;
    return nodeDocument(id, { path, data: found.data, mzxid: found.stat.mzxid, children: [] });
  }

  async publish(id: string, content: string, options: WriteOptions = {}): Promise<string> {
    this.host.assertOpen();
    const path = this.pathOf(id);
    assertFormat(`the node ${id}`, options.format, formatByExtension(id) ?? 'text');
    const { client } = this.options;
    const data = Buffer.from(content);
    for (let tries = 0; ; tries += 1) {
      const stat = await client.exists(path, defined({ signal: options.signal }));
      this.assertRevision(id, stat, options);
      try {
        if (stat === undefined) {
          await client.create(path, data, defined({ signal: options.signal }));
          // Somebody may have written since: then it is theirs to know, and a conflict for whoever compares.
          const created = await client.exists(path, defined({ signal: options.signal }));
          if (created !== undefined) return (created.version === 0 ? created.mzxid : created.czxid).toString();
          continue;
        }
        const written = await client.setData(path, data, {
          version: stat.version,
          ...defined({ signal: options.signal }),
        });
        if (written !== undefined) return written.mzxid.toString();
      } catch (error) {
        // Written in between by somebody else. Who compares is told so by the next look.
        if (!isFailure(error, 'BAD_VERSION', 'NODE_EXISTS') || tries >= 20) throw error;
      }
    }
  }

  async remove(id: string, options: WriteOptions = {}): Promise<boolean> {
    this.host.assertOpen();
    const path = this.pathOf(id);
    const { client } = this.options;
    for (let tries = 0; ; tries += 1) {
      const stat = await client.exists(path, defined({ signal: options.signal }));
      this.assertRevision(id, stat, options);
      if (stat === undefined || isBranch(stat)) return false;
      try {
        if (stat.childCount > 0) {
          // What is below it stays: only its own value goes.
          await client.setData(path, Buffer.alloc(0), {
            version: stat.version,
            ...defined({ signal: options.signal }),
          });
          return true;
        }
        if (!(await client.remove(path, { version: stat.version, ...defined({ signal: options.signal }) }))) continue;
        await this.removeEmptyParents(path, options);
        return true;
      } catch (error) {
        if (!isFailure(error, 'BAD_VERSION', 'NOT_EMPTY') || tries >= 20) throw error;
      }
    }
  }

  async list(prefix = '', signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const { client, root } = this.options;
    const read = defined({ signal });
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
    const { root, defaultContext, profileSeparator } = this.options;
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
    const contexts = layerNames(scope.application, scope.profiles, defaultContext, profileSeparator);
    const skip = (path: string, problem: string, version?: string): void =>
      this.host.skip(path, `${path} ${problem}`, version, 'CONFIG_DOCUMENT_INVALID');
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
    assertDocumentId(id);
    return `${this.options.root}/${id}`;
  }

  private assertRevision(id: string, stat: NodeStat | undefined, { ifRevision }: WriteOptions): void {
    if (ifRevision === undefined) return;
    const present = stat === undefined || isBranch(stat) ? null : stat.mzxid.toString();
    if (present !== ifRevision) throw conflict(this.host.name, id, ifRevision, present);
  }

  /** Without its last child a node that only held children would become a property of its own, with no value. */
  private async removeEmptyParents(path: string, options: WriteOptions): Promise<void> {
    const { client, root } = this.options;
    for (let parent = parentPath(path); parent !== undefined && parent !== root; parent = parentPath(parent)) {
      try {
        const stat = await client.exists(parent, defined({ signal: options.signal }));
        if (stat === undefined || stat.childCount > 0 || stat.dataLength > 0) return;
        await client.remove(parent, { version: stat.version, ...defined({ signal: options.signal }) });
      } catch (error) {
        if (isFailure(error, 'BAD_VERSION', 'NOT_EMPTY', 'NO_AUTH')) return;
        throw error;
      }
    }
  }
}

/** True for a node that only holds others. */
function isBranch(stat: NodeStat): boolean {
  return stat.dataLength === 0 && stat.childCount > 0;
}
