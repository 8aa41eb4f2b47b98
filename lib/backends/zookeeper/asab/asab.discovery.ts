import type { BackendContext, DiscoveryDriver, DiscoveryReport, Watch } from '../../../backend/index.js';
import { assertName, type ServiceInstance } from '../../../model/index.js';
import type { Child, ScanOutcome } from '../client/watched-children.js';
import type { ZooKeeperClient } from '../client/zookeeper-client.js';
import { InstanceWatch } from '../zookeeper.instance-watch.js';
import type { AsabRecord } from './asab.codec.js';
import { servicesOf, type AsabRun } from './asab.run.js';

/** What the driver needs of its backend. */
export interface AsabDiscoveryOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly client: ZooKeeperClient;
  readonly run: AsabRun;
  /** How long a list of services waits for the first scan, in milliseconds. */
  readonly listTimeoutMs: number;
  readonly assertOpen: () => void;
  readonly adopt: (close: () => Promise<unknown>) => () => void;
}

/** The read side of ASAB's layout: services are what the records call `service_id`. */
export class AsabDiscoveryDriver implements DiscoveryDriver {
  private readonly watches = new Map<string, Set<InstanceWatch>>();

  constructor(private readonly options: AsabDiscoveryOptions) {
    options.run.listen((outcome) => this.tell(outcome));
  }

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.options.assertOpen();
    const { run, client, listTimeoutMs } = this.options;
    const release = run.use();
    try {
      if (client.outage !== undefined) throw client.outage;
      await run.ready(listTimeoutMs, false, signal);
      return [...run.serviceNames()].sort();
    } catch (error) {
      // Cut off while it was read: that is what the caller wants to know, and not how long it waited.
      throw client.outage ?? error;
    } finally {
      await release();
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    this.options.assertOpen();
    assertName(service, 'service');
    const { context, backend, run, adopt } = this.options;
    const release = run.use();
    let disown = (): void => {};
    const watch: InstanceWatch = new InstanceWatch({
      context,
      backend,
      service,
      report,
      refresh: () => run.refresh(),
      onClosed: async () => {
        disown();
        const watches = this.watches.get(service);
        watches?.delete(watch);
        if (watches?.size === 0) this.watches.delete(service);
        await release();
      },
    });
    disown = adopt(() => watch.close());
    const watches = this.watches.get(service);
    if (watches === undefined) this.watches.set(service, new Set([watch]));
    else watches.add(watch);
    const { records, error } = run;
    if (error !== undefined) watch.fail(error);
    else if (records !== undefined) watch.show(instancesOf(run.ofService(service)));
    return watch;
  }

  private tell(outcome: ScanOutcome<AsabRecord>): void {
    const { error } = outcome;
    if (error !== undefined) return this.tellAll((watch) => watch.fail(error));
    const services = outcome.all ? [...this.watches.keys()] : [...servicesOf(outcome.changes)];
    for (const service of services) {
      const watches = this.watches.get(service);
      if (watches === undefined) continue;
      const instances = instancesOf(this.options.run.ofService(service));
      for (const watch of watches) watch.show(instances);
    }
  }

  private tellAll(tell: (watch: InstanceWatch) => void): void {
    for (const watches of this.watches.values()) for (const watch of watches) tell(watch);
  }
}

/** Of two records at one address the newer one counts: the other is left over from a session that hasn't expired yet. */
export function instancesOf(children: readonly Child<AsabRecord>[]): readonly ServiceInstance[] {
  const newest = new Map<string, { readonly czxid: bigint; readonly instance: ServiceInstance }>();
  for (const { value, czxid } of children) {
    for (const instance of value.instances) {
      const known = newest.get(instance.url);
      if (known === undefined || known.czxid < czxid) newest.set(instance.url, { czxid, instance });
    }
  }
  return Object.freeze([...newest.values()].map(({ instance }) => instance));
}
