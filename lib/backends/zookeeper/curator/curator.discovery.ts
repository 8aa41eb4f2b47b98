import { type BackendContext, type DiscoveryDriver, type DiscoveryReport, type Watch } from '../../../backend/index.js';
import { assertName, nameProblem, type ServiceInstance } from '../../../model/index.js';
import { childPath } from '../client/paths.js';
import { inParallel } from '../client/parallel.js';
import { WatchedChildren, type Child, type ScanOutcome } from '../client/watched-children.js';
import type { ZooKeeperClient } from '../client/zookeeper-client.js';
import { InstanceWatch } from '../zookeeper.instance-watch.js';
import { decodeCuratorInstance } from './curator.codec.js';

/** What the driver needs of its backend. */
export interface CuratorDiscoveryOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly client: ZooKeeperClient;
  readonly basePath: string;
  readonly rescanMs: number;
  readonly assertOpen: () => void;
  /** Takes what must be ended with the backend; gives the way to take it back. */
  readonly adopt: (close: () => Promise<unknown>) => () => void;
}

/** The read side of Curator's layout: one node a service, one child an instance. Only services in use are watched. */
export class CuratorDiscoveryDriver implements DiscoveryDriver {
  private readonly services = new Map<string, WatchedService>();

  constructor(private readonly options: CuratorDiscoveryOptions) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.options.assertOpen();
    const { client, basePath } = this.options;
    const read = signal === undefined ? {} : { signal };
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
    this.options.assertOpen();
    assertName(service, 'service');
    const { context, backend, adopt } = this.options;
    let watched = this.services.get(service);
    if (watched === undefined) this.services.set(service, (watched = new WatchedService(service, this.options)));
    const shared = watched;
    let disown = (): void => {};
    const watch: InstanceWatch = new InstanceWatch({
      context,
      backend,
      service,
      report,
      refresh: () => shared.refresh(),
      onClosed: async () => {
        disown();
        if (!shared.remove(watch)) return;
        if (this.services.get(service) === shared) this.services.delete(service);
        await shared.close();
      },
    });
    disown = adopt(() => watch.close());
    shared.add(watch);
    return watch;
  }
}

/** One service, shared by all that watch it. */
class WatchedService {
  private readonly watches = new Set<InstanceWatch>();
  private readonly children: WatchedChildren<ServiceInstance>;

  constructor(service: string, { client, context, backend, basePath, rescanMs }: CuratorDiscoveryOptions) {
    this.children = new WatchedChildren<ServiceInstance>({
      client,
      context,
      backend,
      what: `the instances of ${service}`,
      path: childPath(basePath, service),
      create: false,
      rescanMs,
      decode: (name, data) => decodeCuratorInstance(service, name, data, backend),
      onScan: (outcome) => this.tell(outcome),
    });
  }

  add(watch: InstanceWatch): void {
    this.watches.add(watch);
    const { current, error } = this.children;
    if (error !== undefined) watch.fail(error);
    else if (current !== undefined) watch.show(instancesOf(current));
  }

  /** True when nobody is left. */
  remove(watch: InstanceWatch): boolean {
    return this.watches.delete(watch) && this.watches.size === 0;
  }

  refresh(): Promise<void> {
    return this.children.refresh();
  }

  close(): Promise<void> {
    return this.children.close();
  }

  private tell(outcome: ScanOutcome<ServiceInstance>): void {
    if (outcome.error !== undefined) {
      for (const watch of this.watches) watch.fail(outcome.error);
      return;
    }
    const instances = instancesOf(outcome.children);
    for (const watch of this.watches) watch.show(instances);
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
