import {
  SharedFeed,
  type DiscoveryDriver,
  type DiscoveryReport,
  type DriverHost,
  type Watch,
} from '../../../backend/index.js';
import { defined, nameProblem, type ServiceInstance } from '../../../model/index.js';
import { childPath } from '../client/paths.js';
import { inParallel } from '../client/parallel.js';
import { watchedChildren, type Child, type Children } from '../client/watched-children.js';
import type { ZooKeeperClient } from '../client/zookeeper-client.js';
import { decodeCuratorInstance } from './curator.codec.js';

/** What the driver needs besides its backend. */
export interface CuratorDiscoveryOptions {
  readonly client: ZooKeeperClient;
  readonly basePath: string;
  readonly rescanMs: number;
}

/** The read side of Curator's layout: one node a service, one child an instance. Only services in use are watched. */
export class CuratorDiscoveryDriver implements DiscoveryDriver {
  /** Read and watched once for all who watch it. */
  private readonly services = new Map<string, SharedFeed<Children<ServiceInstance>>>();

  constructor(
    private readonly host: DriverHost,
    private readonly options: CuratorDiscoveryOptions,
  ) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const { client, basePath } = this.options;
    const read = defined({ signal });
    const names = ((await client.getChildren(basePath, read)) ?? []).filter((name) => nameProblem(name) === undefined);
    const inhabited = new Set<string>();
    // The node of a service outlives its last instance for a while.
    await inParallel(names, 256, async (name) => {
      const stat = await client.exists(childPath(basePath, name), read);
      if (stat !== undefined && stat.childCount > 0) inhabited.add(name);
    });
    return [...inhabited].sort();
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    const source = () =>
      this.sharedOf(service).source(`the instances of ${service}`, ({ children }) => instancesOf(children));
    return this.host.instances(service, source, report);
  }

  private sharedOf(service: string): SharedFeed<Children<ServiceInstance>> {
    let shared = this.services.get(service);
    if (shared === undefined) {
      const { host, options } = this;
      const source = () =>
        watchedChildren<ServiceInstance>({
          client: options.client,
          host,
          what: `the instances of ${service}`,
          path: childPath(options.basePath, service),
          create: false,
          rescanMs: options.rescanMs,
          decode: (name, data) => decodeCuratorInstance(service, name, data, host.name),
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

/** Of two records at one address the newer one counts: the other is left over from a session that hasn't expired yet. */
function instancesOf(children: ReadonlyMap<string, Child<ServiceInstance>>): readonly ServiceInstance[] {
  const newest = new Map<string, Child<ServiceInstance>>();
  for (const child of children.values()) {
    const known = newest.get(child.value.url);
    if (known === undefined || known.czxid < child.czxid) newest.set(child.value.url, child);
  }
  return Object.freeze([...newest.values()].map((child) => child.value));
}
