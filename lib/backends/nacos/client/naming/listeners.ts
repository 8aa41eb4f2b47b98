import type { Environment } from '../environment.js';
import { diffNacosInstances, inClusters, type NacosInstance, type NacosInstancesChange } from './model.js';
import type { ServiceSubscription, Subscriptions } from './subscriptions.js';

/** Hears of a service's instances; what it returns or throws changes nothing. */
export type NacosServiceListener = (
  instances: readonly NacosInstance[],
  change: NacosInstancesChange,
) => void | Promise<void>;

interface Entry {
  readonly key: string;
  readonly listener: NacosServiceListener;
  readonly subscription: ServiceSubscription;
}

/** The listeners that users gave, each with the difference since its own last call. */
export class NamingListeners {
  private entries: Entry[] = [];

  constructor(
    private readonly env: Environment,
    private readonly subscriptions: Subscriptions,
  ) {}

  async add(
    service: string,
    group: string,
    clusters: readonly string[],
    listener: NacosServiceListener,
  ): Promise<void> {
    let last: readonly NacosInstance[] = [];
    const subscription = this.subscriptions.subscribe(service, group, {
      changed: (info) => {
        const hosts = inClusters(info.hosts, clusters);
        const change = diffNacosInstances(last, hosts);
        if (change.added.length + change.removed.length + change.changed.length === 0) return;
        last = hosts;
        this.call(service, listener, hosts, change);
      },
      failed: () => {},
    });
    this.entries.push({ key: keyOf(service, group, clusters), listener, subscription });
    await subscription.refresh();
  }

  /** Removes one occurrence. */
  remove(service: string, group: string, clusters: readonly string[], listener: NacosServiceListener): void {
    const key = keyOf(service, group, clusters);
    const index = this.entries.findIndex((entry) => entry.key === key && entry.listener === listener);
    const [entry] = index < 0 ? [] : this.entries.splice(index, 1);
    entry?.subscription.close();
  }

  close(): void {
    for (const entry of this.entries.splice(0)) entry.subscription.close();
  }

  private call(
    service: string,
    listener: NacosServiceListener,
    hosts: readonly NacosInstance[],
    change: NacosInstancesChange,
  ): void {
    const failed = (error: unknown): void => {
      this.env.report({ type: 'listener.failed', where: `subscription of ${service} on ${this.env.backend}`, error });
    };
    try {
      Promise.resolve(listener(hosts, change)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

function keyOf(service: string, group: string, clusters: readonly string[]): string {
  return JSON.stringify([service, group, [...clusters].sort()]);
}
