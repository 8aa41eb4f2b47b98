import {
  abandonOnAbort,
  SingleFlight,
  type DiscoveryDriver,
  type DiscoveryReport,
  type DriverHost,
  type PullSource,
  type ServicesReport,
  type Watch,
} from '../../backend/index.js';
import { toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import type { LocalDirectory } from './local.directory.js';
import { liveSource } from './local.live-source.js';
import type { LocalSettings } from './local.options.js';
import { namesSource, ServiceNames, type NamesFolder } from './local.names.js';
import { RecordFolder } from './local.records.js';

/** How often the processes behind the records are looked at, in milliseconds. */
const LIVENESS_MS = 250;

/** The read side: the folders of the services, watched. */
export class LocalDiscoveryDriver implements DiscoveryDriver {
  /** A folder that can't be read is an error, and an empty one is empty. */
  readonly emptyIsCertain = true;
  private readonly listing = new SingleFlight<readonly string[]>();
  /** Kept from one listing to the next: only what changed is read again. */
  private readonly listed: ServiceNames;

  constructor(
    private readonly host: DriverHost,
    private readonly settings: LocalSettings,
    private readonly directory: LocalDirectory,
  ) {
    this.listed = new ServiceNames(this.namesFolder());
  }

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const { name: backend } = this.host;
    const what = `listing the services of ${backend}`;
    const list = this.listing.run('list', () => this.listed.read('all'));
    try {
      return await abandonOnAbort(list, signal, what);
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} failed`, { backend });
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    return this.host.instances(service, () => this.source(service), report);
  }

  watchServices(report: (report: ServicesReport) => void): Watch {
    const { directory, settings } = this;
    const source = () => namesSource(this.namesFolder(settings.pollMs), (service) => directory.serviceFolder(service));
    return this.host.services(source, report);
  }

  private namesFolder(judgedEveryMs?: number): NamesFolder {
    const { directory, settings } = this;
    return {
      registry: directory.registry,
      pollMs: settings.pollMs,
      recordsOf: (service) => this.recordsOf(service, judgedEveryMs),
      given: [...settings.instances].filter(([, instances]) => instances.length > 0).map(([name]) => name),
    };
  }

  private source(service: string): PullSource<readonly ServiceInstance[]> {
    const { pollMs } = this.settings;
    const records = this.recordsOf(service, pollMs);
    const combine = this.combiner(service);
    return liveSource({
      what: `the instances of ${service}`,
      folder: this.directory.serviceFolder(service),
      pollMs,
      gatherMs: 10,
      tickMs: () => (records.size > 0 ? Math.min(LIVENESS_MS, pollMs) : pollMs),
      read: async (changed) => {
        if (changed === 'all' || changed.size > 0) await records.read(changed);
        return combine(records.live());
      },
    });
  }

  private recordsOf(service: string, judgedEveryMs?: number): RecordFolder {
    return new RecordFolder(service, this.host, this.directory, judgedEveryMs);
  }

  /** Adds the static instances of a service: those that register under the same address know more of themselves. */
  private combiner(service: string): (live: readonly ServiceInstance[]) => readonly ServiceInstance[] {
    const given = this.settings.instances.get(service) ?? [];
    let seen: readonly ServiceInstance[] | undefined;
    let combined: readonly ServiceInstance[] = [];
    return (live) => {
      if (given.length === 0) return live;
      if (live !== seen) {
        const urls = new Set(live.map((instance) => instance.url));
        combined = Object.freeze([...live, ...given.filter((instance) => !urls.has(instance.url))]);
        seen = live;
      }
      return combined;
    };
  }
}
