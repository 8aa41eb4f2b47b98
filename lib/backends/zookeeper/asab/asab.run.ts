import {
  SharedFeed,
  until,
  ValueView,
  type DriverHost,
  type FeedReport,
  type Unsubscribe,
} from '../../../backend/index.js';
import { defined, DiscoveryError } from '../../../model/index.js';
import { childPath } from '../client/paths.js';
import { watchedChildren, type Child, type Children } from '../client/watched-children.js';
import { closedError, type ZooKeeperClient } from '../client/zookeeper-client.js';
import { decodeAsabRecord, type AsabRecord } from './asab.codec.js';

/** What everything that reads ASAB's records has in common. */
export interface AsabRunOptions {
  readonly host: DriverHost;
  readonly client: ZooKeeperClient;
  /** Where the records are. */
  readonly path: string;
  readonly rescanMs: number;
}

/** The records by the names of their nodes. */
export type AsabRecords = ReadonlyMap<string, Child<AsabRecord>>;

/** What a reading of the records came to. */
export type AsabReport = FeedReport<Children<AsabRecord>>;

/**
 * The records under `run`. They are read and watched once for all who need them, and not at all while nobody does: which
 * of them belongs to a service isn't in its name.
 */
export class AsabRun {
  /** For watches: follow it, and take of the records what concerns you. */
  readonly shared: SharedFeed<Children<AsabRecord>>;
  private closed = false;
  private readonly listeners = new Set<(report: AsabReport) => void>();
  /** Changes with every report. */
  private readonly reports = new ValueView<number>(0);
  private byService: { readonly records: AsabRecords; readonly services: Map<string, Child<AsabRecord>[]> } | undefined;
  private readCount = 0;

  constructor(private readonly options: AsabRunOptions) {
    const { host, client, path, rescanMs } = options;
    const open: ConstructorParameters<typeof SharedFeed<Children<AsabRecord>>>[0] = (report) => {
      this.readCount = 0;
      const source = watchedChildren<AsabRecord>({
        client,
        host,
        what: `the records of ${host.name}`,
        path,
        create: true,
        rescanMs,
        decode: (node, data) => this.decode(node, data),
        onRead: () => (this.readCount += 1),
      });
      return host.feed(source, (word) => {
        report(word);
        this.tell(word);
      });
    };
    this.shared = new SharedFeed(open, () => (this.byService = undefined));
  }

  /** The records, or undefined before the first reading. */
  get records(): AsabRecords | undefined {
    return this.shared.value?.children;
  }

  get error(): DiscoveryError | undefined {
    return this.shared.error;
  }

  /** Reads of nodes so far; for measurements. */
  get reads(): number {
    return this.readCount;
  }

  /** Calls back after every reading that changed something, was asked for or failed, while somebody follows. */
  listen(listener: (report: AsabReport) => void): Unsubscribe {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** The records of a service; worked out once for each reading. */
  ofService(service: string): readonly Child<AsabRecord>[] {
    const { records } = this;
    if (records === undefined) return [];
    if (this.byService?.records !== records) {
      const services = new Map<string, Child<AsabRecord>[]>();
      for (const child of records.values()) {
        const name = child.value.ids.get('service_id')?.[0];
        if (name === undefined) continue;
        const list = services.get(name);
        if (list === undefined) services.set(name, [child]);
        else list.push(child);
      }
      this.byService = { records, services };
    }
    return this.byService.services.get(service) ?? [];
  }

  /** Names of the services that have an instance. */
  serviceNames(): readonly string[] {
    this.ofService('');
    const services = this.byService?.services ?? new Map<string, Child<AsabRecord>[]>();
    return [...services].filter(([, list]) => list.some((one) => one.value.instances.length > 0)).map(([name]) => name);
  }

  /**
   * The records, after the first reading. Somebody must follow {@link shared}.
   *
   * @param patient whether a reading that failed is waited out, rather than told
   * @throws DiscoveryError `TIMEOUT` or `ABORTED`, or why the reading failed
   */
  async ready(timeoutMs: number, patient: boolean, signal?: AbortSignal): Promise<AsabRecords> {
    const { host, path } = this.options;
    const { clock } = host.context;
    const settled = (): boolean => this.records !== undefined || this.closed || (!patient && this.error !== undefined);
    await until(this.reports, settled, { clock, timeoutMs, signal });
    if (this.records !== undefined) return this.records;
    if (this.closed) throw closedError(host.name, `the backend ${host.name}`);
    const { error } = this;
    if (!patient && error !== undefined) throw error;
    if (signal?.aborted === true) {
      throw new DiscoveryError('ABORTED', `waiting for the records of ${host.name} was aborted`, {
        backend: host.name,
      });
    }
    throw new DiscoveryError(
      'TIMEOUT',
      `the records under ${path} could not be read within ${timeoutMs} ms${error === undefined ? '' : `: ${error.message}`}`,
      { backend: host.name, ...defined({ cause: error }) },
    );
  }

  /** Ends the waiting; those who follow must have left. */
  close(): void {
    this.closed = true;
    this.reports.set(this.reports.current + 1);
  }

  private decode(node: string, data: Buffer): AsabRecord {
    const { host, path } = this.options;
    const record = decodeAsabRecord(node, data, host.name);
    // Advertised, but not to be called.
    if (record.problem !== undefined) host.skip(childPath(path, node), record.problem);
    return record;
  }

  private tell(report: AsabReport): void {
    for (const listener of Array.from(this.listeners)) listener(report);
    this.reports.set(this.reports.current + 1);
  }
}
