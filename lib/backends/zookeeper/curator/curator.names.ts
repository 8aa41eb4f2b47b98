import { inParallel, type PullSource } from '../../../backend/index.js';
import { serviceNameProblem } from '../../../model/index.js';

import { childPath } from '../client/paths.js';
import { watchedSource } from '../client/watched-source.js';
import type { ZooKeeperClient } from '../client/zookeeper-client.js';
import { isFolder } from './curator.folders.js';

/** Nodes that are read at the same time, in each folder. */
const IN_PARALLEL = 128;

/** A node of a service, or a folder: whether something lives in it, and the nodes below it. */
interface Folder {
  readonly inhabited: boolean;
  readonly below: readonly string[];
}

/**
 * The names of the services: a watch on the list of every folder and service, so that a change costs the reading of the
 * one that changed. The instances themselves are looked at once, when they appear.
 */
export function namesSource(options: {
  readonly client: ZooKeeperClient;
  readonly basePath: string;
  readonly rescanMs: number;
}): PullSource<readonly string[]> {
  const { client, basePath, rescanMs } = options;
  const listening = new Map<string, () => void>();
  let again = (_path: string): void => {};
  let folders = new Map<string, Folder>();

  const listenTo = (path: string): void => {
    if (listening.has(path)) return;
    const unlisten = client.onNode(path, (event) => {
      if (event.path === path) again(path);
    });
    listening.set(path, unlisten);
  };

  const readFolder = async (path: string, signal: AbortSignal): Promise<Folder | undefined> => {
    listenTo(path);
    const names = await client.getChildren(path, { watch: true, signal });
    if (names === undefined) {
      // A base path that is missing is waited for; anything else comes with its parent's list.
      if (path === basePath) await client.exists(path, { watch: true, signal });
      return undefined;
    }
    const below: string[] = [];
    let inhabited = false;
    await inParallel(names, IN_PARALLEL, async (name) => {
      const stat = await client.exists(childPath(path, name), { signal });
      if (stat === undefined) return;
      if (isFolder(stat)) below.push(name);
      else inhabited = true;
    });
    return { inhabited, below };
  };

  return watchedSource<readonly string[]>({
    client,
    what: 'the services',
    rescanMs,
    listen: (tell) => {
      again = tell;
      return () => {
        for (const unlisten of listening.values()) unlisten();
        listening.clear();
      };
    },
    read: async ({ changed, signal }) => {
      const next = new Map<string, Folder>();
      const services: string[] = [];
      const visit = async (service: string, path: string): Promise<void> => {
        const isKnown = changed !== 'all' && !changed.has(path);
        const folder = (isKnown ? folders.get(path) : undefined) ?? (await readFolder(path, signal));
        if (folder === undefined) return;
        next.set(path, folder);
        if (folder.inhabited && service !== '') services.push(service);
        await inParallel(folder.below, IN_PARALLEL, async (name) => {
          const below = service === '' ? name : `${service}/${name}`;
          if (serviceNameProblem(below) === undefined) await visit(below, childPath(path, name));
        });
      };
      await visit('', basePath);
      if (signal.aborted) return services;
      folders = next;
      for (const [path, unlisten] of listening) {
        if (path === basePath || next.has(path)) continue;
        unlisten();
        listening.delete(path);
      }
      return services;
    },
  });
}
