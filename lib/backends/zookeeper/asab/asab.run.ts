import { abandonOnAbort, sleep, ValueView, type BackendContext, type Unsubscribe } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { childPath } from '../client/paths.js';
import { WatchedChildren, type Child, type ChildChange, type ScanOutcome } from '../client/watched-children.js';
import { closedError, type ZooKeeperClient } from '../client/zookeeper-client.js';
import { decodeAsabRecord, type AsabRecord } from './asab.codec.js';

/** What everything that reads ASAB's records has in common. */
export interface AsabRunOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly client: ZooKeeperClient;
  /** Where the records are. */
  readonly path: string;
  readonly rescanMs: number;
}

type Records = ReadonlyMap<string, Child<AsabRecord>>;

/**
 * The records under `run`. They are read and watched once for all who need them, and not at all while nobody does: which
 * of them belongs to a service isn't in its name.
 */
export class AsabRun {
  private children: WatchedChildren<AsabRecord> | undefined;
  private users = 0;
  private closed = false;
  /** Those who wait for the first scan. */
  private readonly waiting = new Set<AbortController>();
  private readonly listeners = new Set<(outcome: ScanOutcome<AsabRecord>) => void>();
  /** Changes with every scan. */
  private readonly scans = new ValueView<number>(0);
  private byService: { readonly records: Records; readonly services: Map<string, Child<AsabRecord>[]> } | undefined;

  constructor(private readonly options: AsabRunOptions) {}

  /** The records, or undefined before the first scan. */
  get records(): Records | undefined {
    return this.children?.current;
  }

  get error(): DiscoveryError | undefined {
    return this.children?.error;
  }

  /** Reads of nodes so far; for measurements. */
  get reads(): number {
    return this.children?.reads ?? 0;
  }

  /** Reads and watches until the returned function is called. */
  use(): () => Promise<void> {
    this.users += 1;
    this.children ??= this.open();
    let released = false;
    return async () => {
      if (released) return;
      released = true;
      this.users -= 1;
      if (this.users > 0) return;
      const { children } = this;
      this.children = undefined;
      this.byService = undefined;
      await children?.close();
    };
  }

  /** Calls back after every scan that changed something, was asked for or failed. */
  listen(listener: (outcome: ScanOutcome<AsabRecord>) => void): Unsubscribe {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  refresh(): Promise<void> {
    return this.children?.refresh() ?? Promise.resolve();
  }

  /** The records of a service; worked out once for each scan. */
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
   * The records, after the first scan. Somebody must {@link use} them.
   *
   * @param patient whether a scan that failed is waited out, rather than told
   * @throws DiscoveryError `TIMEOUT` or `ABORTED`, or why the scan failed
   */
  async ready(timeoutMs: number, patient: boolean, signal?: AbortSignal): Promise<Records> {
    const { context, backend, path } = this.options;
    if (this.records !== undefined) return this.records;
    if (this.closed) throw this.closedError();
    const waiting = new AbortController();
    this.waiting.add(waiting);
    let unsubscribe: Unsubscribe = () => {};
    const scanned = new Promise<void>((resolve) => {
      unsubscribe = this.scans.subscribe(() => {
        if (this.records !== undefined || !patient) resolve();
      });
    });
    try {
      const timer = sleep(context.clock, timeoutMs, waiting.signal);
      await abandonOnAbort(Promise.race([scanned, timer]), signal, `waiting for the records of ${backend}`);
    } finally {
      unsubscribe();
      waiting.abort();
      this.waiting.delete(waiting);
    }
    if (this.records !== undefined) return this.records;
    if (this.closed) throw this.closedError();
    const { error } = this;
    if (!patient && error !== undefined) throw error;
    throw new DiscoveryError(
      'TIMEOUT',
      `the records under ${path} could not be read within ${timeoutMs} ms${error === undefined ? '' : `: ${error.message}`}`,
      { backend, ...(error === undefined ? {} : { cause: error }) },
    );
  }

  /** Ends the waiting; those who read must have released it. */
  close(): void {
    this.closed = true;
    for (const waiting of this.waiting) waiting.abort();
  }

  private closedError(): DiscoveryError {
    return closedError(this.options.backend, `the backend ${this.options.backend}`);
  }

  private open(): WatchedChildren<AsabRecord> {
    const { client, context, backend, path, rescanMs } = this.options;
    return new WatchedChildren<AsabRecord>({
      client,
      context,
      backend,
      what: `the records of ${backend}`,
      path,
      create: true,
      rescanMs,
      decode: (node, data) => this.decode(node, data),
      onScan: (outcome) => this.tell(outcome),
    });
  }

  private decode(node: string, data: Buffer): AsabRecord {
    const { context, backend, path } = this.options;
    const record = decodeAsabRecord(node, data, backend);
    if (record.problem !== undefined) {
      // Advertised, but not to be called. Told once, as it is decoded once.
      context.report({ type: 'record.skipped', backend, record: childPath(path, node), error: record.problem });
    }
    return record;
  }

  private tell(outcome: ScanOutcome<AsabRecord>): void {
    for (const listener of Array.from(this.listeners)) listener(outcome);
    this.scans.set(this.scans.current + 1);
  }
}

/** The names of the services that a change is about, before or after. */
export function servicesOf(changes: readonly ChildChange<AsabRecord>[]): ReadonlySet<string> {
  const services = new Set<string>();
  for (const { before, after } of changes) {
    for (const child of [before, after]) {
      const service = child?.value.ids.get('service_id')?.[0];
      if (service !== undefined) services.add(service);
    }
  }
  return services;
}
