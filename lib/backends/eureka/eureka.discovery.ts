import {
  abandonOnAbort,
  Reporter,
  type DiscoveryDriver,
  type DiscoveryReport,
  type Watch,
} from '../../backend/index.js';
import {
  assertName,
  DiscoveryError,
  keepIdentity,
  toDiscoveryError,
  type DiscoveryEvent,
  type ServiceInstance,
} from '../../model/index.js';
import type { RegistryPoller } from './client/registry-poller.js';
import { toServiceInstance } from './eureka.codec.js';
import type { EurekaInstance } from './eureka.instance.js';
import type { EurekaSettings } from './eureka.options.js';
import type { Health } from './eureka.registry.js';

/** What the driver needs of its backend. */
export interface EurekaDiscoveryOptions {
  readonly settings: EurekaSettings;
  readonly createPoller: () => RegistryPoller;
  readonly report: (event: DiscoveryEvent) => void;
  readonly warn: (message: string) => void;
  readonly assertOpen: () => void;
  /** Told how reading the registry goes. */
  readonly onHealth: (key: object, health: Health) => void;
}

/** More bad records than this are told of again. */
const MAX_COMPLAINTS = 1000;

/**
 * The read side. The registry is read once for all watches, and only while there are any; each watch hears when its own
 * service changed.
 */
export class EurekaDiscoveryDriver implements DiscoveryDriver {
  private poller: RegistryPoller | undefined;
  private readonly watches = new Set<EurekaWatch>();
  /** Polls that are being ended. */
  private readonly ending = new Set<Promise<void>>();
  /** The last problem of each bad record, so that it is told of once. */
  private readonly complained = new Map<string, string>();

  constructor(private readonly options: EurekaDiscoveryOptions) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.options.assertOpen();
    const poller = this.poller ?? this.options.createPoller();
    const { name } = this.options.settings;
    try {
      await abandonOnAbort(poller.refresh(), signal, `listing the services of ${name}`);
      return poller.applications.all
        .filter((application) => application.size > 0)
        .map((application) => application.name)
        .sort();
    } catch (error) {
      this.options.assertOpen();
      throw toDiscoveryError(
        poller.error ?? error,
        'BACKEND_UNAVAILABLE',
        `the services of ${name} could not be listed`,
        {
          backend: name,
        },
      );
    } finally {
      if (poller !== this.poller) await poller.stop();
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    this.options.assertOpen();
    assertName(service, 'service');
    const poller = this.join();
    const watch: EurekaWatch = new EurekaWatch({
      ...this.options,
      service,
      poller,
      complain: (instance, error) => this.complain(instance, error),
      receive: report,
      onClosed: () => this.leave(watch),
    });
    this.watches.add(watch);
    return watch;
  }

  /** What the registry, if it is being read, has of an instance. */
  lookUp(app: string, instanceId: string): { readonly instance: EurekaInstance | undefined } | undefined {
    // One virtual name isn't the whole registry.
    if (this.poller?.isFresh !== true || this.options.settings.read.vipAddress !== undefined) return undefined;
    return { instance: this.poller.applications.getApplication(app).getInstance(instanceId) };
  }

  async close(): Promise<void> {
    await Promise.all([...this.watches].map((watch) => watch.close()));
    await Promise.all(this.ending);
  }

  private join(): RegistryPoller {
    if (this.poller === undefined) {
      const poller = this.options.createPoller();
      poller.listen({
        polled: () => this.options.onHealth(this, 'well'),
        failed: (error) => this.options.onHealth(this, error),
      });
      this.poller = poller;
    }
    return this.poller;
  }

  private leave(watch: EurekaWatch): void {
    this.watches.delete(watch);
    if (this.watches.size > 0 || this.poller === undefined) return;
    const stopped = this.poller.stop().finally(() => this.ending.delete(stopped));
    this.ending.add(stopped);
    this.poller = undefined;
    this.options.onHealth(this, 'ended');
  }

  private complain(instance: EurekaInstance, error: DiscoveryError): void {
    const { settings, report, warn } = this.options;
    const record = `${instance.app}/${instance.instanceId}`;
    if (this.complained.get(record) === error.message) return;
    if (this.complained.size >= MAX_COMPLAINTS) this.complained.clear();
    this.complained.set(record, error.message);
    warn(`${settings.name}: the record ${JSON.stringify(record)} was skipped: ${error.message}`);
    report({ type: 'record.skipped', backend: settings.name, record, error });
  }
}

interface EurekaWatchOptions extends EurekaDiscoveryOptions {
  readonly service: string;
  readonly poller: RegistryPoller;
  readonly complain: (instance: EurekaInstance, error: DiscoveryError) => void;
  readonly receive: (report: DiscoveryReport) => void;
  readonly onClosed: () => void;
}

/** Reports the instances of one service. */
class EurekaWatch implements Watch {
  private readonly reporter: Reporter<DiscoveryReport>;
  private readonly app: string;
  private readonly unlisten: () => void;
  private converted = new Map<EurekaInstance, ServiceInstance | undefined>();
  private last: readonly ServiceInstance[] = [];
  /** What was last reported: nothing yet, a list, or that the registry can't be asked. */
  private told: 'nothing' | 'list' | 'error' = 'nothing';
  /** Resolves when everything that was sent has been delivered. */
  private delivered: Promise<void> = Promise.resolve();
  private sent = 0;
  private closed = false;

  constructor(private readonly options: EurekaWatchOptions) {
    const { service, poller, receive, report, settings } = options;
    this.app = service.toUpperCase();
    this.reporter = new Reporter(receive, (error) =>
      report({ type: 'listener.failed', where: `watch of ${service} on ${settings.name}`, error }),
    );
    this.unlisten = poller.listen({
      polled: (changed) => {
        if (this.told !== 'list' || changed.has(this.app)) this.sendList();
      },
      failed: (error) => {
        if (this.told !== 'error') this.sendError(error);
      },
    });
    // The first report is that of the read which begins now, or of what was just read.
    if (poller.isFresh) this.sendList();
    else poller.refresh().catch(() => {});
  }

  async refresh(): Promise<void> {
    if (this.closed) throw this.closedError();
    const { poller } = this.options;
    const before = this.sent;
    try {
      await poller.refresh();
    } catch (error) {
      if (this.closed) throw this.closedError();
      const failure = poller.error ?? toDiscoveryError(error, 'BACKEND_UNAVAILABLE', 'the registry could not be read');
      if (this.sent === before) this.sendError(failure);
      await this.delivered;
      throw failure;
    }
    if (this.closed) throw this.closedError();
    if (this.sent === before) this.sendList();
    await this.delivered;
  }

  close(): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.closed = true;
    this.unlisten();
    this.reporter.close();
    this.options.onClosed();
    return Promise.resolve();
  }

  private sendList(): void {
    const { instances } = this.options.poller.applications.getApplication(this.app);
    const converted = new Map<EurekaInstance, ServiceInstance | undefined>();
    for (const instance of instances) {
      converted.set(instance, this.converted.has(instance) ? this.converted.get(instance) : this.convert(instance));
    }
    this.converted = converted;
    const next = [...converted.values()].filter((instance) => instance !== undefined);
    const list = keepIdentity(this.last, next);
    this.last = list;
    this.told = 'list';
    this.send({ instances: list });
  }

  private convert(instance: EurekaInstance): ServiceInstance | undefined {
    const { service, settings, complain } = this.options;
    try {
      return toServiceInstance(instance, service, settings.name, settings.read);
    } catch (error) {
      complain(instance, toDiscoveryError(error, 'INVALID_INSTANCE', 'it can be no instance', { service }));
      return undefined;
    }
  }

  private sendError(error: DiscoveryError): void {
    this.told = 'error';
    this.send({ error });
  }

  private send(report: DiscoveryReport): void {
    this.sent += 1;
    this.delivered = this.reporter.send(report);
  }

  private closedError(): DiscoveryError {
    const { service, settings } = this.options;
    return new DiscoveryError('BACKEND_CLOSED', `the watch of ${service} was closed`, {
      service,
      backend: settings.name,
    });
  }
}
