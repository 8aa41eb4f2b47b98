import { ValueView, type AddressResolver, type DriverHost, type View } from '../../../backend/index.js';
import { createServiceInstance, unknownSnapshot, type ServiceInstance, type Snapshot } from '../../../model/index.js';
import {
  isAsabHost,
  nothingFound,
  notKnownYet,
  parseAsabHost,
  type AsabName,
  type NotDiscoveredError,
} from './asab.address.js';
import type { AsabRecord } from './asab.codec.js';
import type { AsabRecords, AsabReport, AsabRun } from './asab.run.js';

/** Addresses that are kept; more are forgotten, the oldest first. */
const MAX_ADDRESSES = 1000;

interface Known {
  readonly host: string;
  readonly scheme: string;
  readonly name: AsabName;
  readonly view: ValueView<Snapshot>;
  /** Instances by the record and port that they were made of, so that they stay the same objects. */
  readonly built: WeakMap<AsabRecord, readonly ServiceInstance[]>;
}

/** Discovered addresses, for the app's own HTTP clients. */
export class AsabAddressResolver implements AddressResolver {
  private readonly known = new Map<string, Known>();
  private leave: (() => Promise<void>) | undefined;
  /** The last report was a failure: what it says concerns all, and so does that it is over. */
  private failing = false;

  constructor(
    private readonly host: DriverHost,
    private readonly run: AsabRun,
  ) {
    run.listen((report) => this.refresh(report));
  }

  handles(host: string): boolean {
    return isAsabHost(host);
  }

  /**
   * The instances behind `<value>.<key>.asab`.
   *
   * @param scheme the caller's, which the record doesn't tell. @default 'http'
   * @throws NotDiscoveredError for a malformed host
   */
  resolve(host: string, scheme = 'http'): View<Snapshot> {
    this.host.assertOpen();
    const key = `${scheme}://${host}`;
    const known = this.known.get(key);
    if (known !== undefined) return known.view;
    const name = parseAsabHost(host);
    this.leave ??= this.run.shared.join();
    const entry: Known = {
      host,
      scheme,
      name,
      built: new WeakMap(),
      view: new ValueView<Snapshot>(unknownSnapshot(host), (error) =>
        this.host.context.report({ type: 'listener.failed', where: `the address ${host} on ${this.host.name}`, error }),
      ),
    };
    for (const oldest of this.known.keys()) {
      if (this.known.size < MAX_ADDRESSES) break;
      this.known.delete(oldest);
    }
    this.known.set(key, entry);
    this.show(entry);
    return entry.view;
  }

  /** What to tell a caller when there is nobody to call. */
  notFound(host: string): NotDiscoveredError {
    const { records, error } = this.run;
    return records === undefined ? notKnownYet(host, error) : nothingFound(host, error);
  }

  async close(): Promise<void> {
    for (const { view } of this.known.values()) view.close();
    await this.leave?.();
  }

  private refresh({ value, error }: AsabReport): void {
    const all = error !== undefined || this.failing;
    this.failing = error !== undefined;
    const concerns = ({ name, view }: Known): boolean =>
      all ||
      view.current.state === 'unknown' ||
      value.changes.some(({ before, after }) =>
        [before, after].some((one) => one !== undefined && has(one.value, name)),
      );
    for (const entry of this.known.values()) if (concerns(entry)) this.show(entry);
  }

  private show(entry: Known): void {
    const { records, error } = this.run;
    const { current } = entry.view;
    if (records === undefined) {
      if (error !== undefined) entry.view.set(unknownSnapshot(entry.host, error, [this.host.name]));
      return;
    }
    const found = this.find(entry, records);
    const same =
      found.length === current.instances.length && found.every((one, index) => one === current.instances[index]);
    const instances = same && current.state !== 'unknown' ? current.instances : Object.freeze(found);
    const asOf = error === undefined ? this.host.context.clock.now() : (current.asOf ?? this.host.context.clock.now());
    entry.view.set(
      Object.freeze({
        service: entry.host,
        instances,
        state: error === undefined ? ('fresh' as const) : ('stale' as const),
        asOf,
        ...(error === undefined ? {} : { error, partial: [this.host.name] }),
      }),
    );
  }

  private find(entry: Known, records: AsabRecords): ServiceInstance[] {
    const { name } = entry;
    const byUrl = new Map<string, ServiceInstance>();
    for (const { value: record } of records.values()) {
      if (record.addresses.length === 0 || !has(record, name)) continue;
      let instances = entry.built.get(record);
      if (instances === undefined) entry.built.set(record, (instances = this.build(entry, record)));
      for (const instance of instances) byUrl.set(instance.url, instance);
    }
    return [...byUrl.values()];
  }

  private build({ host, scheme }: Known, record: AsabRecord): readonly ServiceInstance[] {
    const ports = new Map(record.addresses.map((address) => [address.port, address]));
    const [own] = record.instances;
    return [...ports.values()].map((address) =>
      createServiceInstance({
        service: host,
        id: `${record.node}:${address.port}`,
        host: address.host,
        port: address.port,
        scheme,
        metadata: own?.metadata ?? {},
        weight: own?.weight ?? 1,
        backend: this.host.name,
        ...(own?.zone === undefined ? {} : { zone: own.zone }),
      }),
    );
  }
}

/** Hosts in URLs are in lower case. */
function has(record: AsabRecord, { key, value }: AsabName): boolean {
  const exact = record.ids.get(key);
  if (exact?.includes(value) === true) return true;
  for (const [type, ids] of record.ids) {
    if (type.toLowerCase() !== key.toLowerCase()) continue;
    if (ids.some((id) => id.toLowerCase() === value.toLowerCase())) return true;
  }
  return false;
}
