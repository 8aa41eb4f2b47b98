import { readdir } from 'node:fs/promises';
import {
  abandonOnAbort,
  SingleFlight,
  type DiscoveryDriver,
  type DiscoveryReport,
  type Watch,
} from '../../backend/index.js';
import { assertName, fromFileName, toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import { LiveReading, type Health } from './local.live-reading.js';
import { RecordFolder, type RecordsContext } from './local.records.js';

/** How often the processes behind the records are looked at, in milliseconds. */
const LIVENESS_MS = 250;

/** What the driver needs of its backend. */
export interface LocalDiscoveryOptions extends RecordsContext {
  readonly pollMs: number;
  /** Instances that are given besides, by service. */
  readonly instances: ReadonlyMap<string, readonly ServiceInstance[]>;
  readonly assertOpen: () => void;
  /** Takes what must be ended with the backend; gives the way to take it back. */
  readonly adopt: (close: () => Promise<unknown>) => () => void;
  readonly health: Health;
}

/** The read side: the folders of the services, watched. */
export class LocalDiscoveryDriver implements DiscoveryDriver {
  /** A folder that can't be read is an error, and an empty one is empty. */
  readonly emptyIsCertain = true;
  private readonly listing = new SingleFlight<readonly string[]>();
  /** Kept from one listing to the next: only what changed is read again. */
  private listed = new Map<string, RecordFolder>();

  constructor(private readonly options: LocalDiscoveryOptions) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.options.assertOpen();
    const { backend } = this.options;
    const what = `listing the services of ${backend}`;
    const list = this.listing.run('list', () => this.list());
    try {
      return await abandonOnAbort(list, signal, what);
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} failed`, { backend });
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    this.options.assertOpen();
    assertName(service, 'service');
    const { context, backend, directory, pollMs, adopt, health } = this.options;
    const records = new RecordFolder(service, this.options, pollMs);
    const combine = this.combiner(service);
    let disown = (): void => {};
    const watch = new LiveReading<readonly ServiceInstance[]>({
      context,
      backend,
      what: `the instances of ${service}`,
      folder: directory.serviceFolder(service),
      pollMs,
      gatherMs: 10,
      tickMs: () => (records.size > 0 ? Math.min(LIVENESS_MS, pollMs) : pollMs),
      read: async (changed) => {
        if (changed === 'all' || changed.size > 0) await records.read(changed);
        return combine(records.live());
      },
      deliver: ({ value, error }) => report(error === undefined ? { instances: value } : { error }),
      health,
      onClosed: () => disown(),
    });
    disown = adopt(() => watch.close());
    return watch;
  }

  /** Adds the static instances of a service: those that register under the same address know more of themselves. */
  private combiner(service: string): (live: readonly ServiceInstance[]) => readonly ServiceInstance[] {
    const given = this.options.instances.get(service) ?? [];
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
    const folders = await readdir(this.options.directory.registry, { withFileTypes: true });
    const names = folders
      .filter((entry) => entry.isDirectory())
      .map((entry) => fromFileName(entry.name))
      .filter((name) => name !== undefined);
    const next = new Map<string, RecordFolder>();
    const services = new Set<string>();
    for (const name of names) {
      const records = this.listed.get(name) ?? new RecordFolder(name, this.options);
      next.set(name, records);
      await records.read('all');
      if (records.live().length > 0) services.add(name);
    }
    this.listed = next;
    for (const [name, instances] of this.options.instances) if (instances.length > 0) services.add(name);
    return [...services].sort();
  }
}
