import type { DiscoveryDriver, DiscoveryReport, DriverHost, ServicesReport, Watch } from '../../../backend/index.js';
import type { ServiceInstance } from '../../../model/index.js';
import type { Child } from '../client/watched-children.js';
import type { ZooKeeperClient } from '../client/zookeeper-client.js';
import type { AsabRecord } from './asab.codec.js';
import type { AsabRun } from './asab.run.js';

/** How long a list of services waits for the first reading, in milliseconds. */
const LIST_TIMEOUT_MS = 10_000;

/** The read side of ASAB's layout: services are what the records call `service_id`. */
export class AsabDiscoveryDriver implements DiscoveryDriver {
  constructor(
    private readonly host: DriverHost,
    private readonly client: ZooKeeperClient,
    private readonly run: AsabRun,
  ) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const leave = this.run.shared.join();
    try {
      if (this.client.outage !== undefined) throw this.client.outage;
      await this.run.ready(LIST_TIMEOUT_MS, false, signal);
      return [...this.run.serviceNames()].sort();
    } catch (error) {
      // Cut off while it was read: that is what the caller wants to know, and not how long it waited.
      throw this.client.outage ?? error;
    } finally {
      await leave();
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    const { host, run } = this;
    const source = run.shared.source(`the instances of ${service}`, () => instancesOf(run.ofService(service)));
    return host.instances(service, () => source, report);
  }

  watchServices(report: (report: ServicesReport) => void): Watch {
    const { host, run } = this;
    return host.services(() => run.shared.source('the services', () => run.serviceNames()), report);
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
