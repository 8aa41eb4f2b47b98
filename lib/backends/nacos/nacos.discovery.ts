import {
  abandonOnAbort,
  type DiscoveryDriver,
  type DiscoveryReport,
  type DriverHost,
  type PullSource,
  type PushSource,
  type ServicesReport,
  type Watch,
} from '../../backend/index.js';
import type { ServiceInstance } from '../../model/index.js';
import { inClusters, instanceKey, type NacosInstance, type NacosServiceInfo } from './client/naming/model.js';
import type { ServiceSubscription } from './client/naming/subscriptions.js';
import { fromNacos, toServiceAddress } from './nacos.codec.js';
import type { NacosSettings } from './nacos.options.js';
import type { NacosProtocol } from './nacos.ports.js';

type Instances = readonly ServiceInstance[];

/** How often the names of the services are asked for, and how long an answer may take, in milliseconds. */
const LIST_EVERY_MS = 3000;
const LIST_TIMEOUT_MS = 15_000;

/** The discovery side of a Nacos backend. */
export class NacosDiscoveryDriver implements DiscoveryDriver {
  constructor(
    private readonly host: DriverHost,
    private readonly protocol: NacosProtocol,
    private readonly settings: NacosSettings,
  ) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    return this.protocol.listServices(this.settings.group, signal);
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    return this.host.instances(service, () => this.sourceOf(service), report);
  }

  watchServices(report: (report: ServicesReport) => void): Watch {
    return this.host.services(() => this.names(), report);
  }

  /**
   * Nacos pushes the instances of a service, and no list of services. It names a service for another minute after its last
   * instance has left.
   */
  private names(): PullSource<readonly string[]> {
    return {
      what: 'the services',
      everyMs: LIST_EVERY_MS,
      timeoutMs: LIST_TIMEOUT_MS,
      retry: { initialMs: 500, maxMs: LIST_EVERY_MS },
      read: ({ signal }) => this.protocol.listServices(this.settings.group, signal),
    };
  }

  private sourceOf(service: string): PushSource<Instances> {
    const { protocol, settings } = this;
    const address = toServiceAddress(service, settings.group);
    const what = `the instances of ${service}`;
    const built = new WeakMap<NacosInstance, ServiceInstance>();
    let subscription: ServiceSubscription | undefined;
    return {
      what,
      follow: ({ value, failed }) => {
        const joined = protocol.observe(address.service, address.group, {
          changed: (info) => value(this.instancesOf(info, service, built)),
          failed,
        });
        subscription = joined;
        return () => joined.close();
      },
      // Not cut short by the subscription: others may wait for the same answer.
      refresh: async (signal) => abandonOnAbort(Promise.resolve(subscription?.refresh()), signal, what),
    };
  }

  private instancesOf(
    info: NacosServiceInfo,
    service: string,
    built: WeakMap<NacosInstance, ServiceInstance>,
  ): Instances {
    const { host, settings } = this;
    const instances: ServiceInstance[] = [];
    for (const record of inClusters(info.hosts, settings.clusters)) {
      try {
        const instance = built.get(record) ?? fromNacos(record, service, host.name);
        built.set(record, instance);
        instances.push(instance);
      } catch (error) {
        host.skip(`${info.groupName}@@${info.name} ${instanceKey(record)}`, error);
      }
    }
    return Object.freeze(instances);
  }
}
