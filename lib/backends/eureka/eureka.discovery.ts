import {
  abandonOnAbort,
  SharedFeed,
  type DiscoveryDriver,
  type DiscoveryReport,
  type DriverHost,
  type FeedReport,
  type PushSource,
  type ServicesReport,
  type Watch,
} from '../../backend/index.js';
import { toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import type { EurekaSession } from './client/session.js';
import { toServiceInstance } from './eureka.codec.js';
import type { Application, Applications } from './eureka.applications.js';
import type { EurekaInstance } from './eureka.instance.js';
import { instanceOf, type InstanceRecord } from './eureka.record.js';
import type { EurekaSettings } from './eureka.options.js';

type Instances = readonly ServiceInstance[];

/** The read side. The registry is read once for all watches, and only while there are any. */
export class EurekaDiscoveryDriver implements DiscoveryDriver {
  readonly emptyHoldMs: number;
  /** The instances by virtual name, made when somebody asks for one. */
  private readonly byVip = new WeakMap<Applications, ReadonlyMap<string, readonly InstanceRecord[]>>();
  private readonly registry = new SharedFeed<Applications>((report) => this.read(report));

  constructor(
    private readonly host: DriverHost,
    private readonly session: EurekaSession,
    private readonly settings: EurekaSettings,
  ) {
    // A server that lost its memory gets it back with everybody's next heartbeat, and we read it some time after that.
    this.emptyHoldMs = settings.lease.heartbeatMs + settings.read.fetchIntervalMs;
  }

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    const { host, registry } = this;
    host.assertOpen();
    const { name: backend } = host;
    const leave = registry.join();
    const disown = host.adopt(leave);
    try {
      await abandonOnAbort(registry.refresh(), signal, `listing the services of ${backend}`);
      return registry.value === undefined ? [] : [...namesOf(registry.value)].sort();
    } catch (error) {
      host.assertOpen();
      const reason = signal?.aborted === true ? error : (registry.error ?? error);
      throw toDiscoveryError(reason, 'BACKEND_UNAVAILABLE', `the services of ${backend} could not be listed`, {
        backend,
      });
    } finally {
      disown();
      await leave();
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    return this.host.instances(service, () => this.sourceOf(service), report);
  }

  watchServices(report: (report: ServicesReport) => void): Watch {
    return this.host.services(() => this.registry.source('the services', namesOf), report);
  }

  /** What the registry, if it is being read, has of an instance. */
  lookUp(app: string, instanceId: string): { readonly instance: EurekaInstance | undefined } | undefined {
    const { value: known, error } = this.registry;
    // What was known before an outage may be over, and one virtual name isn't the whole registry.
    if (known === undefined || error !== undefined || this.settings.read.vipAddress !== undefined) return undefined;
    return { instance: known.getApplication(app).getInstance(instanceId) };
  }

  private read(report: (report: FeedReport<Applications>) => void): Watch {
    const poller = this.session.createPoller();
    poller.listen({
      polled: () => report({ value: poller.applications }),
      failed: (error) => report({ error }),
    });
    // In a moment: a refresh of who joins now is answered by the same read.
    void Promise.resolve().then(() => poller.start());
    return {
      refresh: () => poller.refresh(),
      close: () => poller.stop(),
      get readAgainAt() {
        return poller.readAgainAt;
      },
    };
  }

  private sourceOf(service: string): PushSource<Instances> {
    const app = service.toUpperCase();
    const converted = new WeakMap<EurekaInstance, ServiceInstance>();
    let last: { readonly application: Application; readonly instances: Instances } | undefined;
    return this.registry.source(`the instances of ${service}`, (applications) => {
      const application = applications.getApplication(app);
      // Nobody is called so: it may be a virtual name, under which one or several applications answer.
      if (application.size === 0) return this.convert(this.virtual(applications, app), service, converted);
      if (last?.application !== application) {
        last = { application, instances: this.convert(application.instances, service, converted) };
      }
      return last.instances;
    });
  }

  private virtual(applications: Applications, name: string): readonly EurekaInstance[] {
    let byVip = this.byVip.get(applications);
    if (byVip === undefined) this.byVip.set(applications, (byVip = byVirtualName(applications)));
    return (byVip.get(name) ?? []).map(instanceOf);
  }

  private convert(
    instances: Iterable<EurekaInstance>,
    service: string,
    converted: WeakMap<EurekaInstance, ServiceInstance>,
  ): Instances {
    const { host, settings } = this;
    const usable: ServiceInstance[] = [];
    for (const record of instances) {
      try {
        const instance = converted.get(record) ?? toServiceInstance(record, service, host.name, settings.read);
        converted.set(record, instance);
        usable.push(instance);
      } catch (error) {
        host.skip(`${record.app}/${record.instanceId}`, error);
      }
    }
    return Object.freeze(usable);
  }
}

/** Names of the applications that have an instance. */
function namesOf({ all }: Applications): readonly string[] {
  return all.filter((application) => application.size > 0).map((application) => application.name);
}

/** Virtual names in capitals; a record may have several, with commas. */
function byVirtualName({ all }: Applications): ReadonlyMap<string, readonly InstanceRecord[]> {
  const byVip = new Map<string, InstanceRecord[]>();
  for (const record of all.flatMap(({ records }) => [...records])) {
    const { vipAddress, secureVipAddress } = record.shared;
    const names = `${vipAddress},${secureVipAddress}`.split(',').map((name) => name.trim().toUpperCase());
    for (const name of new Set(names)) {
      const known = byVip.get(name);
      if (known === undefined) byVip.set(name, [record]);
      else known.push(record);
    }
  }
  return byVip;
}
