import { Reporter, type DiscoveryDriver, type DiscoveryReport, type Watch } from '../../backend/index.js';
import { assertName, DiscoveryError, keepIdentity, toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import { inClusters, instanceKey, type NacosInstance, type NacosServiceInfo } from './client/naming/model.js';
import type { ServiceSubscription } from './client/naming/subscriptions.js';
import { fromNacos, toServiceAddress } from './nacos.codec.js';
import type { DriverContext } from './nacos.ports.js';

/** The discovery side of a Nacos backend. */
export class NacosDiscoveryDriver implements DiscoveryDriver {
  constructor(private readonly driver: DriverContext) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.driver.assertOpen();
    return this.driver.protocol.listServices(this.driver.settings.group, signal);
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    this.driver.assertOpen();
    assertName(service, 'service');
    let disown = (): void => {};
    const watch = new NacosWatch(this.driver, service, report, () => disown());
    disown = this.driver.own(() => watch.close());
    return watch;
  }
}

/** Reports the instances of one service. */
class NacosWatch implements Watch {
  private readonly reporter: Reporter<DiscoveryReport>;
  private readonly subscription: ServiceSubscription;
  private readonly skipped = new Set<string>();
  private readonly built = new WeakMap<NacosInstance, ServiceInstance>();
  private last: readonly ServiceInstance[] = [];
  private newest: DiscoveryReport | undefined;
  private sending: Promise<void> = Promise.resolve();
  private told = 0;
  private closed = false;

  constructor(
    private readonly driver: DriverContext,
    private readonly service: string,
    report: (report: DiscoveryReport) => void,
    private readonly onClosed: () => void,
  ) {
    const { settings, context, protocol } = driver;
    const { service: name, group } = toServiceAddress(service, settings.group);
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `watch of ${service} on ${settings.name}`, error }),
    );
    this.subscription = protocol.observe(name, group, {
      changed: (info) => this.tell({ instances: this.instancesOf(info) }),
      failed: (error) => this.tell({ error: this.wrapped(error) }),
    });
  }

  async refresh(): Promise<void> {
    if (this.closed) throw this.closedError();
    const before = this.told;
    let failure: DiscoveryError | undefined;
    try {
      await this.subscription.refresh();
    } catch (error) {
      failure = this.wrapped(error);
    }
    if (this.closed) throw this.closedError();
    // What the answer caused is on its way; an answer without news is told all the same.
    const unchanged = failure === undefined ? this.newest : { error: failure };
    if (this.told === before && unchanged !== undefined) this.tell(unchanged);
    await this.sending;
    if (failure !== undefined) throw failure;
  }

  close(): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.closed = true;
    this.reporter.close();
    this.subscription.close();
    this.onClosed();
    return Promise.resolve();
  }

  private tell(report: DiscoveryReport): void {
    this.newest = report;
    this.told += 1;
    this.sending = this.reporter.send(report);
  }

  private instancesOf(info: NacosServiceInfo): readonly ServiceInstance[] {
    const { settings, context } = this.driver;
    const next: ServiceInstance[] = [];
    for (const host of inClusters(info.hosts, settings.clusters)) {
      try {
        const instance = this.built.get(host) ?? fromNacos(host, this.service, settings.name);
        this.built.set(host, instance);
        next.push(instance);
      } catch (error) {
        const record = `${info.groupName}@@${info.name} ${instanceKey(host)}`;
        if (this.skipped.has(record)) continue;
        if (this.skipped.size < 1000) this.skipped.add(record);
        const problem = toDiscoveryError(error, 'INVALID_INSTANCE', 'the record is no instance');
        context.report({ type: 'record.skipped', backend: settings.name, record, error: problem });
      }
    }
    this.last = keepIdentity(this.last, next);
    return this.last;
  }

  private wrapped(error: unknown): DiscoveryError {
    return toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.service} could not be read`, {
      backend: this.driver.settings.name,
      service: this.service,
    });
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', `the watch of ${this.service} was closed`, {
      service: this.service,
      backend: this.driver.settings.name,
    });
  }
}
