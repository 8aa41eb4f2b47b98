import type { DiscoveryDriver, DiscoveryReport, Timer, Watch } from '../../backend/index.js';
import { assertName, DiscoveryError, keepIdentity, toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import type { BlockingQuery, WatchReport } from './client/blocking-query.js';
import type { ConsulMeta } from './client/meta.js';
import type { ReadOptions } from './client/requests.js';
import type { ServiceEntry } from './client/types.js';
import { decodeEntry, describeEntry } from './consul.codec.js';
import type { ConsulDiscoveryOptions } from './consul.options.js';
import { AclDoubt, mayHideAll } from './consul.acl-doubt.js';
import type { ConsulParts } from './consul.shared.js';

/** How long the first report waits for the other datacentres when one has answered, in milliseconds. */
const GATHER_MS = 1000;

/** Servers are a service themselves: whoever sees no service at all may not see that one. */
const SERVERS = [{ Resource: 'service', Access: 'read', Segment: 'consul' }] as const;

/** The read side: the health endpoint, watched by blocking queries. */
export class ConsulDiscoveryDriver implements DiscoveryDriver {
  private readonly doubt: AclDoubt;

  constructor(private readonly parts: ConsulParts) {
    this.doubt = new AclDoubt(parts);
  }

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    const { assertOpen, client, settings } = this.parts;
    assertOpen();
    const options = settings.discoveryOf('');
    const what = `listing the services of ${settings.name}`;
    try {
      const lists = await Promise.all(
        datacentersOf(options).map(async (dc) => {
          const [services, meta] = await client.catalog.services({
            ...consistencyOf(options),
            ...dc,
            ...with_(signal),
          });
          const names = Object.keys(services);
          if (names.length === 0) await this.doubt.assertCertain(meta, 'the services', SERVERS, signal);
          return names;
        }),
      );
      return [...new Set(lists.flat())].sort();
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} failed`, { backend: settings.name });
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    this.parts.assertOpen();
    assertName(service, 'service');
    let disown = (): void => {};
    const watch = new ServiceWatch(this.parts, this.doubt, service, report, () => disown());
    disown = this.parts.adopt(() => watch.close());
    return watch;
  }
}

/** What one datacentre said last. */
interface Part {
  list?: readonly ServiceInstance[];
  error?: DiscoveryError;
}

/** The instances of one service, in one datacentre or in several side by side. */
class ServiceWatch implements Watch {
  private readonly queries: readonly BlockingQuery<readonly ServiceEntry[], readonly ServiceInstance[]>[];
  private readonly answers: readonly Part[];
  private readonly options: ConsulDiscoveryOptions;
  private readonly complained = new Set<string>();
  private warnedOfFilter = false;
  private timer: Timer | undefined;
  private gathered = false;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly parts: ConsulParts,
    private readonly doubt: AclDoubt,
    private readonly service: string,
    private readonly report: (report: DiscoveryReport) => void,
    private readonly onClosed: () => void,
  ) {
    this.options = parts.settings.discoveryOf(service);
    const datacenters = datacentersOf(this.options);
    this.answers = datacenters.map(() => ({}));
    this.queries = datacenters.map((dc, at) => this.open(dc, at));
  }

  async refresh(): Promise<void> {
    const results = await Promise.allSettled(this.queries.map((query) => query.refresh()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined && results.every((result) => result.status === 'rejected')) throw failed.reason;
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    this.timer?.cancel();
    await Promise.all(this.queries.map((query) => query.close()));
    this.onClosed();
  }

  private open(
    dc: { readonly dc?: string },
    at: number,
  ): BlockingQuery<readonly ServiceEntry[], readonly ServiceInstance[]> {
    const { client, context, settings, health } = this.parts;
    const { tags, filter, near, nodeMeta } = this.options;
    const read: ReadOptions & { readonly tag?: readonly string[] } = {
      ...consistencyOf(this.options),
      ...dc,
      ...(tags === undefined ? {} : { tag: tags }),
      ...(filter === undefined ? {} : { filter }),
      ...(near === undefined ? {} : { near }),
      ...(nodeMeta === undefined ? {} : { nodeMeta }),
    };
    const key = {};
    return client.openQuery<readonly ServiceEntry[], readonly ServiceInstance[]>({
      what: `the instances of ${this.service}${dc.dc === undefined ? '' : ` in ${dc.dc}`}`,
      settings: settings.watch,
      random: () => context.random(),
      ask: (options) => client.health.service(this.service, { ...read, ...options }),
      suspect: (entries, meta) => mayHideAll(entries, meta, client.hasToken),
      decode: (entries, meta, previous) => this.decode(entries, meta, previous),
      report: (answer) => this.receive(at, answer),
      onRound: (error) => (error === undefined ? health.succeeded(key) : health.failed(key, error)),
      onListenerError: (error) =>
        context.report({ type: 'listener.failed', where: `watch of ${this.service} on ${settings.name}`, error }),
      onClosed: () => health.forget(key),
    });
  }

  private async decode(
    entries: readonly ServiceEntry[],
    meta: ConsulMeta,
    previous: readonly ServiceInstance[] | undefined,
  ): Promise<readonly ServiceInstance[]> {
    const { settings, context } = this.parts;
    if (entries.length === 0) {
      await this.doubt.assertCertain(meta, `the service ${this.service}`, [
        { Resource: 'service', Access: 'read', Segment: this.service },
      ]);
    } else if (meta.ResultsFilteredByACLs && !this.warnedOfFilter) {
      this.warnedOfFilter = true;
      context.logger.warn(
        `${settings.name}: the token may not see all instances of ${this.service}: give it service:read and node:read`,
      );
    }
    const instances: ServiceInstance[] = [];
    const ids = new Set<string>();
    for (const entry of entries) {
      const instance = this.read(entry);
      if (instance === undefined) continue;
      // Ids are unique at one agent only.
      const unique = ids.has(instance.id) ? { ...instance, id: `${instance.id}@${entry.Node.Node}` } : instance;
      ids.add(unique.id);
      instances.push(Object.freeze(unique));
    }
    return keepIdentity(previous ?? [], Object.freeze(instances));
  }

  private read(entry: ServiceEntry): ServiceInstance | undefined {
    const { settings, context } = this.parts;
    try {
      return decodeEntry(entry, this.service, {
        ...this.options,
        backend: settings.name,
        zoneFromDatacenter: (this.options.datacenters?.length ?? 0) > 1,
      });
    } catch (error) {
      const record = `${this.service}/${describeEntry(entry)}`;
      const failure = toDiscoveryError(error, 'INVALID_INSTANCE', `${record} is no instance`, {
        backend: settings.name,
        service: this.service,
      });
      // Told once, and again when something else is wrong with it.
      const complaint = `${record}: ${failure.message}`;
      if (!this.complained.has(complaint)) {
        if (this.complained.size >= 1000) this.complained.clear();
        this.complained.add(complaint);
        context.report({ type: 'record.skipped', backend: settings.name, record, error: failure });
      }
      return undefined;
    }
  }

  /** Called by the reporters of the queries: never synchronously, never two at a time, never after `close()`. */
  private receive(at: number, answer: WatchReport<readonly ServiceInstance[]>): void {
    const part = this.answers[at];
    if (part === undefined) return;
    if (answer.error !== undefined) part.error = answer.error;
    else {
      part.list = answer.value;
      delete part.error;
    }
    const [first] = this.answers;
    if (this.answers.length === 1 && first !== undefined) this.tell();
    else this.tellTogether(answer.error);
  }

  private tellTogether(error: DiscoveryError | undefined): void {
    const { context, settings } = this.parts;
    // One datacentre's failure is seen as an event; the list goes on with what is known of it.
    if (error !== undefined && this.answers.some((part) => part.error === undefined)) {
      context.report({ type: 'instances.failed', service: this.service, backend: settings.name, error });
    }
    if (this.gathered || this.answers.every((part) => part.list !== undefined || part.error !== undefined)) {
      this.gathered = true;
      this.timer?.cancel();
      return this.tell();
    }
    if (error !== undefined) return;
    this.timer ??= context.clock.setTimer(() => {
      this.gathered = true;
      if (this.closing !== undefined) return;
      try {
        this.tell();
      } catch (failure) {
        context.report({
          type: 'listener.failed',
          where: `watch of ${this.service} on ${settings.name}`,
          error: failure,
        });
      }
    }, GATHER_MS);
  }

  private tell(): void {
    const [first] = this.answers;
    if (this.answers.every((part) => part.error !== undefined) && first?.error !== undefined) {
      return this.report({ error: first.error });
    }
    const lists = this.answers.flatMap((part) => (part.list === undefined ? [] : [part.list]));
    const [only] = lists;
    this.report({ instances: lists.length === 1 && only !== undefined ? only : Object.freeze(lists.flat()) });
  }
}

function datacentersOf(options: ConsulDiscoveryOptions): readonly { readonly dc?: string }[] {
  const { datacenters = [] } = options;
  return datacenters.length === 0 ? [{}] : [...new Set(datacenters)].map((dc) => ({ dc }));
}

function consistencyOf({ consistency, maxStaleMs }: ConsulDiscoveryOptions): ReadOptions {
  return {
    ...(consistency === undefined ? {} : { consistency }),
    ...(maxStaleMs === undefined ? {} : { maxStale: maxStaleMs }),
  };
}

function with_(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
