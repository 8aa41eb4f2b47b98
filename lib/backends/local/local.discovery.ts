import { readdir } from 'node:fs/promises';
import {
  abandonOnAbort,
  SingleFlight,
  type DiscoveryDriver,
  type DiscoveryReport,
  type DriverHost,
  type PullSource,
  type Watch,
} from '../../backend/index.js';
import { fromFileName, toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import type { LocalDirectory } from './local.directory.js';
import { liveSource } from './local.live-source.js';
import type { LocalSettings } from './local.options.js';
import { RecordFolder } from './local.records.js';

/** How often the processes behind the records are looked at, in milliseconds. */
const LIVENESS_MS = 250;

/** The read side: the folders of the services, watched. */
export class LocalDiscoveryDriver implements DiscoveryDriver {
  /** A folder that can't be read is an error, and an empty one is empty. */
  readonly emptyIsCertain = true;
  private readonly listing = new SingleFlight<readonly string[]>();
  /** Kept from one listing to the next: only what changed is read again. */
  private listed = new Map<string, RecordFolder>();

  constructor(
    private readonly host: DriverHost,
    private readonly settings: LocalSettings,
    private readonly directory: LocalDirectory,
  ) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const { name: backend } = this.host;
    const what = `listing the services of ${backend}`;
    const list = this.listing.run('list', () => this.list());
    try {
      return await abandonOnAbort(list, signal, what);
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} failed`, { backend });
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    return this.host.instances(service, () => this.source(service), report);
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

  private async list(): Promise<readonly string[]> {
    const folders = await readdir(this.directory.registry, { withFileTypes: true });
    const names = folders
      .filter((entry) => entry.isDirectory())
      .map((entry) => fromFileName(entry.name))
      .filter((name) => name !== undefined);
    const next = new Map<string, RecordFolder>();
    const services = new Set<string>();
    for (const name of names) {
      const records = this.listed.get(name) ?? this.recordsOf(name);
      next.set(name, records);
      await records.read('all');
      if (records.live().length > 0) services.add(name);
    }
    this.listed = next;
    for (const [name, instances] of this.settings.instances) if (instances.length > 0) services.add(name);
    return [...services].sort();
  }
}
