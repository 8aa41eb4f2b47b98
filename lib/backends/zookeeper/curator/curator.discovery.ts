import {
  type DiscoveryDriver,
  type DiscoveryReport,
  type DriverHost,
  inParallel,
  type ServicesReport,
  SharedFeed,
  type Watch,
} from '../../../backend/index.js';
import { defined, serviceNameProblem, type ServiceInstance } from '../../../model/index.js';
import { childPath } from '../client/paths.js';

import { watchedChildren, type Child, type Children } from '../client/watched-children.js';
import type { ZooKeeperClient } from '../client/zookeeper-client.js';
import { decodeCuratorInstance } from './curator.codec.js';
import { isFolder } from './curator.folders.js';
import { namesSource } from './curator.names.js';

/** What the driver needs besides its backend. */
export interface CuratorDiscoveryOptions {
  readonly client: ZooKeeperClient;
  readonly basePath: string;
  readonly rescanMs: number;
}

/**
 * The read side of Curator's layout: one node a service, one child an instance; what isn't an instance is a folder with
 * services below it. Only services in use are watched.
 */
export class CuratorDiscoveryDriver implements DiscoveryDriver {
  /** Read and watched once for all who watch it. */
  private readonly services = new Map<string, SharedFeed<Children<Found>>>();

  constructor(
    private readonly host: DriverHost,
    private readonly options: CuratorDiscoveryOptions,
  ) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const { client, basePath } = this.options;
    const read = defined({ signal });
    const inhabited = new Set<string>();
    // The node of a service outlives its last instance for a while: it is one by what is in it.
    const visit = async (service: string, path: string): Promise<void> => {
      await inParallel((await client.getChildren(path, read)) ?? [], IN_PARALLEL, async (name) => {
        const child = childPath(path, name);
        const stat = await client.exists(child, read);
        if (stat === undefined) return;
        if (!isFolder(stat)) {
          if (service !== '') inhabited.add(service);
          return;
        }
        const below = service === '' ? name : `${service}/${name}`;
        if (stat.childCount > 0 && serviceNameProblem(below) === undefined) await visit(below, child);
      });
    };
    await visit('', basePath);
    return [...inhabited].sort();
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    const source = () =>
      this.sharedOf(service).source(`the instances of ${service}`, ({ children }) => instancesOf(children));
    return this.host.instances(service, source, report);
  }

  watchServices(report: (report: ServicesReport) => void): Watch {
    return this.host.services(() => namesSource(this.options), report);
  }

  private sharedOf(service: string): SharedFeed<Children<Found>> {
    let shared = this.services.get(service);
    if (shared === undefined) {
      const { host, options } = this;
      const source = () =>
        watchedChildren<Found>({
          client: options.client,
          host,
          what: `the instances of ${service}`,
          path: childPath(options.basePath, service),
          create: false,
          rescanMs: options.rescanMs,
          decode: (name, data, stat) =>
            isFolder(stat) ? undefined : decodeCuratorInstance(service, name, data, host.name),
        });
      shared = new SharedFeed(
        (tell) => host.feed(source(), tell),
        () => this.services.delete(service),
      );
      this.services.set(service, shared);
    }
    return shared;
  }
}

/** Instances that are read by one listing at the same time, in each folder. */
const IN_PARALLEL = 128;

/** An instance, or undefined for a folder. */
type Found = ServiceInstance | undefined;

/** Of two records at one address the newer one counts: the other is left over from a session that hasn't expired yet. */
function instancesOf(children: ReadonlyMap<string, Child<Found>>): readonly ServiceInstance[] {
  const newest = new Map<string, { readonly instance: ServiceInstance; readonly czxid: bigint }>();
  for (const { value: instance, czxid } of children.values()) {
    if (instance === undefined) continue;
    const known = newest.get(instance.url);
    if (known === undefined || known.czxid < czxid) newest.set(instance.url, { instance, czxid });
  }
  return Object.freeze([...newest.values()].map(({ instance }) => instance));
}
