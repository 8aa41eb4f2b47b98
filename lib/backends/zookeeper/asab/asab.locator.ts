import type { DriverHost, Unsubscribe } from '../../../backend/index.js';
import { authority, describe, DiscoveryError, isPrototypeKey, nameProblem } from '../../../model/index.js';
import type { ZooKeeperRegistryDriver } from '../zookeeper.registry.js';
import { nothingFound, parseAsabHost } from './asab.address.js';
import type { AsabAddress, AsabRecord } from './asab.codec.js';
import type { AsabIdentity } from './asab.identity.js';
import type { AsabRecords, AsabRun } from './asab.run.js';

/** What {@link AsabDiscovery.locate} looks for: id type → id. Several are a union. */
export type AsabIds = Readonly<Record<string, string>>;

/** What {@link AsabDiscovery} needs of its backend. */
export interface AsabDiscoveryParts {
  readonly host: DriverHost;
  readonly run: AsabRun;
  readonly registry: ZooKeeperRegistryDriver;
  readonly identity: AsabIdentity;
  readonly readyTimeoutMs: number;
}

/** id type → id → addresses. */
type Index = ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<string, AsabAddress>>>;

/**
 * ASAB's discovery: where is who, by any id. Every question waits for the first reading of the records; after that
 * answers come from memory.
 */
export class AsabDiscovery {
  private leaveRun: (() => Promise<void>) | undefined;
  private index: { readonly of: object; readonly index: Index } | undefined;
  private warnedOfNothing = false;

  constructor(private readonly parts: AsabDiscoveryParts) {}

  /**
   * The URLs of whoever has one of the ids, each once: `http://<host>:<port>`. An id that nobody has: an empty set.
   *
   * ```ts
   * await asab.locate({ service_id: 'my-app' });   // Set { 'http://host-1:8090', 'http://host-2:8090' }
   * await asab.locate('my-app-1');                 // by instance_id
   * ```
   *
   * @throws DiscoveryError `TIMEOUT` when nothing could be read within `readyTimeoutMs`
   */
  async locate(ids: AsabIds | string, signal?: AbortSignal): Promise<Set<string>> {
    const wanted: AsabIds = typeof ids === 'string' ? { instance_id: ids } : ids;
    if (Object.keys(wanted).length === 0) {
      this.parts.host.context.logger.warn(
        `${this.parts.host.name}: locate() needs an id to look for, such as { service_id: 'my-app' }`,
      );
      return new Set();
    }
    const found = await this.addresses(wanted, signal);
    return new Set(found.map(({ host, port }) => `http://${authority(host, port)}`));
  }

  /** As {@link locate}, with the address family of each. */
  async addresses(ids: AsabIds, signal?: AbortSignal): Promise<readonly AsabAddress[]> {
    const records = await this.records(signal);
    if (records.size === 0) this.warnOfNothing();
    else this.warnedOfNothing = false;
    const index = this.indexOf(records);
    const found = new Map<string, AsabAddress>();
    for (const [type, id] of Object.entries(ids)) {
      for (const [key, address] of index.get(type)?.get(id) ?? []) found.set(key, address);
    }
    return [...found.values()];
  }

  /**
   * What a discovered address (`<value>.<key>.asab`) stands for.
   *
   * @throws NotDiscoveredError for a malformed one, and when there is nothing
   */
  async addressesOfHost(host: string, signal?: AbortSignal): Promise<readonly AsabAddress[]> {
    const { key, value } = parseAsabHost(host);
    let found = await this.addresses({ [key]: value }, signal);
    // URLs hold their hosts in lower case.
    if (found.length === 0) found = await this.addressesIgnoringCase(key, value, signal);
    if (found.length === 0) throw nothingFound(host, this.parts.run.error);
    return found;
  }

  /**
   * Everything that can be called: id type → id → addresses. A copy; `instance_id` and `service_id` are always there.
   */
  async discover(signal?: AbortSignal): Promise<Map<string, Map<string, Set<AsabAddress>>>> {
    const records = await this.records(signal);
    if (records.size === 0) this.warnOfNothing();
    const copy = new Map<string, Map<string, Set<AsabAddress>>>([
      ['instance_id', new Map()],
      ['service_id', new Map()],
    ]);
    for (const [type, ids] of this.indexOf(records)) {
      const copies = new Map<string, Set<AsabAddress>>();
      for (const [id, addresses] of ids) copies.set(id, new Set([...addresses.values()].map((one) => ({ ...one }))));
      copy.set(type, copies);
    }
    return copy;
  }

  /** All records as they are, also those that can't be called, with the name of their node as `ephemeral_id`. */
  async getAdvertisedInstances(signal?: AbortSignal): Promise<Record<string, unknown>[]> {
    const records = await this.records(signal);
    return [...records.values()].map(({ name, value }) => ({ ...structuredClone(value.raw), ephemeral_id: name }));
  }

  /**
   * Gives this application ids of its own, under which it is found as under the others; a type's ids replace those that
   * it had, an empty list removes them. Resolves when the record is written, at once while nothing is registered.
   *
   * @throws DiscoveryError `INVALID_OPTION` unless keys are texts and values are lists of texts
   */
  async updateDiscovery(ids: Readonly<Record<string, readonly string[]>>): Promise<void> {
    this.parts.host.assertOpen();
    const { discovery } = this.parts.identity;
    for (const [type, list] of Object.entries(checkIds(ids))) {
      if (list.length === 0) discovery.delete(type);
      else discovery.set(type, Object.freeze([...list]));
    }
    await this.parts.registry.rewrite();
  }

  /** Waits for the first reading of the records. @throws DiscoveryError `TIMEOUT` */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.records(signal);
  }

  /** Reads all records again. @throws DiscoveryError `BACKEND_UNAVAILABLE` */
  async refresh(): Promise<void> {
    this.hold();
    await this.parts.run.shared.refresh();
  }

  /** How many records are known, and how many nodes were read since the reading began: a change reads one. */
  get stats(): { readonly records: number; readonly reads: number } {
    const { records, reads } = this.parts.run;
    return { records: records?.size ?? 0, reads };
  }

  /** Calls back after every change of the records. */
  onChange(listener: () => void): Unsubscribe {
    this.hold();
    return this.parts.run.listen(({ value }) => {
      if (value !== undefined && value.changes.length > 0) listener();
    });
  }

  /** @internal Ends the reading; called by the backend. */
  async close(): Promise<void> {
    this.parts.run.close();
    await this.leaveRun?.();
    this.leaveRun = undefined;
  }

  private hold(): void {
    this.parts.host.assertOpen();
    this.leaveRun ??= this.parts.run.shared.join();
  }

  private records(signal: AbortSignal | undefined): Promise<AsabRecords> {
    try {
      this.hold();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.parts.run.ready(this.parts.readyTimeoutMs, true, signal);
  }

  private async addressesIgnoringCase(
    key: string,
    value: string,
    signal: AbortSignal | undefined,
  ): Promise<readonly AsabAddress[]> {
    const index = this.indexOf(await this.records(signal));
    const lower = value.toLowerCase();
    const type = [...index.keys()].find((one) => one.toLowerCase() === key.toLowerCase());
    const found = new Map<string, AsabAddress>();
    for (const [id, addresses] of (type === undefined ? undefined : index.get(type)) ?? []) {
      if (id.toLowerCase() === lower) for (const [at, address] of addresses) found.set(at, address);
    }
    return [...found.values()];
  }

  private indexOf(records: AsabRecords): Index {
    if (this.index?.of !== records) {
      this.index = { of: records, index: buildIndex([...records.values()].map((child) => child.value)) };
    }
    return this.index.index;
  }

  private warnOfNothing(): void {
    if (this.warnedOfNothing) return;
    this.warnedOfNothing = true;
    this.parts.host.context.logger.warn(
      `${this.parts.host.name}: nothing is advertised at all; make sure that every application has the same ZooKeeper servers and path`,
    );
  }
}

/** Who is where, by every id of every record that can be called. */
export function buildIndex(records: readonly AsabRecord[]): Index {
  const index = new Map<string, Map<string, Map<string, AsabAddress>>>([
    ['instance_id', new Map()],
    ['service_id', new Map()],
  ]);
  for (const { ids, addresses } of records) {
    if (addresses.length === 0) continue;
    for (const [type, values] of ids) {
      let byId = index.get(type);
      if (byId === undefined) index.set(type, (byId = new Map()));
      for (const id of values) {
        let known = byId.get(id);
        if (known === undefined) byId.set(id, (known = new Map()));
        for (const one of addresses) known.set(`${one.host} ${one.port} ${one.family}`, one);
      }
    }
  }
  return index;
}

function checkIds(ids: unknown): Readonly<Record<string, readonly string[]>> {
  const refuse = (problem: string, value: unknown): DiscoveryError =>
    new DiscoveryError('INVALID_OPTION', `updateDiscovery(): ${problem}, got ${describe(value)}`, { field: 'ids' });
  if (typeof ids !== 'object' || ids === null || Array.isArray(ids)) {
    throw refuse('needs an object such as { custom_id: ["a", "b"] }', ids);
  }
  for (const [type, list] of Object.entries(ids)) {
    if (isPrototypeKey(type) || nameProblem(type) !== undefined || type.includes('.')) {
      throw refuse('an id type is a name without dots', type);
    }
    if (!Array.isArray(list) || !list.every((id) => typeof id === 'string' && id !== '')) {
      throw refuse(`the ids of ${type} must be a list of texts`, list);
    }
  }
  return ids as Readonly<Record<string, readonly string[]>>;
}
