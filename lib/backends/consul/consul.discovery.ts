import { keepIdentity, toDiscoveryError, type DiscoveryError, type ServiceInstance } from '../../model/index.js';
import {
  Turns,
  type DiscoveryDriver,
  type DiscoveryReport,
  type DriverHost,
  type Gathering,
  type Part,
  type PullSource,
  type ServicesReport,
  type Watch,
} from '../../backend/index.js';
import type { ConsulClient } from './client/consul-client.js';
import type { ConsulMeta } from './client/meta.js';
import type { ReadOptions } from './client/requests.js';
import type { ServiceEntry } from './client/types.js';
import { AclDoubt, mayHideAll } from './consul.acl-doubt.js';
import { decodeEntry, describeEntry } from './consul.codec.js';
import { renewalMs, type ConsulDiscoveryOptions, type ConsulSettings } from './consul.options.js';

type Instances = readonly ServiceInstance[];

/** A read, and what is told of it, takes no longer than this, in milliseconds. */
const READ_MS = 5000;

/** How long the first report waits for the other datacentres when one has answered, in milliseconds. */
const PATIENCE_MS = 1000;

/** Servers are a service themselves: whoever sees no service at all may not see that one. */
const SERVERS = [{ Resource: 'service', Access: 'read', Segment: 'consul' }] as const;

/** The read side: the health endpoint, watched by blocking queries. */
export class ConsulDiscoveryDriver implements DiscoveryDriver {
  readonly emptyHoldMs: number;
  private readonly doubt: AclDoubt;

  constructor(
    private readonly host: DriverHost,
    private readonly client: ConsulClient,
    private readonly settings: ConsulSettings,
  ) {
    this.doubt = new AclDoubt(host, client);
    // An agent that lost its memory gets it back with everybody's next sign of life; theirs are taken to be as ours.
    this.emptyHoldMs = renewalMs(settings.check, settings.verifyMs) + READ_MS;
  }

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.host.assertOpen();
    const { name: backend } = this.host;
    const options = this.settings.discovery;
    try {
      const lists = await Promise.all(
        datacentersOf(options).map(async (dc) => {
          const [services, meta] = await this.client.catalog.services({
            ...consistencyOf(options),
            ...dc,
            ...(signal === undefined ? {} : { signal }),
          });
          const names = Object.keys(services);
          if (names.length === 0) await this.doubt.assertCertain(meta, 'the services', SERVERS, signal);
          return names;
        }),
      );
      return [...new Set(lists.flat())].sort();
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `listing the services of ${backend} failed`, { backend });
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    return this.host.instances(service, () => this.sourceOf(service), report);
  }

  watchServices(report: (report: ServicesReport) => void): Watch {
    const sources = (): Gathering<readonly string[], readonly string[]> => ({
      what: 'the services',
      sources: datacentersOf(this.settings.discovery).map((dc) => this.askForNames(dc)),
      patienceMs: PATIENCE_MS,
      combine: allThatAreKnown,
    });
    return this.host.services(sources, report);
  }

  private askForNames(dc: { readonly dc?: string }): PullSource<readonly string[]> {
    const { client } = this;
    const read: ReadOptions = { ...consistencyOf(this.settings.discovery), ...dc };
    return client.blocking<Readonly<Record<string, readonly string[]>>, readonly string[]>({
      what: `the services${dc.dc === undefined ? '' : ` in ${dc.dc}`}`,
      settings: this.settings.watch,
      ask: (more) => client.catalog.services({ ...read, ...more }),
      suspect: (services, meta) => mayHideAll(Object.keys(services), meta, client.hasToken),
      decode: async (services, meta) => {
        const names = Object.keys(services);
        if (names.length === 0) await this.doubt.assertCertain(meta, 'the services', SERVERS);
        return names;
      },
    });
  }

  /** One datacentre, or several side by side. */
  private sourceOf(service: string): PullSource<Instances> | Gathering<Instances, Instances> {
    const options = this.settings.discoveryOf(service);
    const sources = datacentersOf(options).map((dc) => this.ask(service, options, dc));
    const [only] = sources;
    // Sorted by distance, the order is news too.
    const keep = options.near === undefined ? {} : { keep: keepIdentity };
    if (sources.length === 1 && only !== undefined) return { ...only, ...keep };
    return {
      ...keep,
      what: `the instances of ${service}`,
      sources,
      patienceMs: PATIENCE_MS,
      combine: allThatAreKnown,
      // One datacentre's failure is seen as an event; the list goes on with what is known of it.
      heard: ({ error }, parts) => {
        if (error === undefined || parts.every((part) => part.error !== undefined)) return;
        this.host.context.report({ type: 'instances.failed', service, backend: this.host.name, error });
      },
    };
  }

  private ask(service: string, options: ConsulDiscoveryOptions, dc: { readonly dc?: string }): PullSource<Instances> {
    const { client } = this;
    const { tags, filter, near, nodeMeta } = options;
    const read: ReadOptions & { readonly tag?: readonly string[] } = {
      ...consistencyOf(options),
      ...dc,
      ...(tags === undefined ? {} : { tag: tags }),
      ...(filter === undefined ? {} : { filter }),
      ...(near === undefined ? {} : { near }),
      ...(nodeMeta === undefined ? {} : { nodeMeta }),
    };
    let warned = false;
    return client.blocking<readonly ServiceEntry[], Instances>({
      what: `the instances of ${service}${dc.dc === undefined ? '' : ` in ${dc.dc}`}`,
      settings: this.settings.watch,
      ask: (more) => client.health.service(service, { ...read, ...more }),
      suspect: (entries, meta) => mayHideAll(entries, meta, client.hasToken),
      decode: async (entries, meta) => {
        if (entries.length === 0) await this.assertNone(service, meta);
        else if (meta.ResultsFilteredByACLs && !warned) {
          warned = true;
          this.host.context.logger.warn(
            `${this.host.name}: the token may not see all instances of ${service}: give it service:read and node:read`,
          );
        }
        return this.decode(service, options, entries);
      },
    });
  }

  private assertNone(service: string, meta: ConsulMeta): Promise<void> {
    const rights = [{ Resource: 'service', Access: 'read', Segment: service }] as const;
    return this.doubt.assertCertain(meta, `the service ${service}`, rights);
  }

  private async decode(
    service: string,
    options: ConsulDiscoveryOptions,
    entries: readonly ServiceEntry[],
  ): Promise<Instances> {
    const { host } = this;
    const turns = new Turns();
    const zoneFromDatacenter = (options.datacenters?.length ?? 0) > 1;
    const instances: ServiceInstance[] = [];
    for (const entry of entries) {
      try {
        // Ids are unique at one agent only, and stay what they are: made unique by what else there is, they would wander.
        const instance = decodeEntry(entry, service, { ...options, backend: host.name, zoneFromDatacenter });
        if (instance !== undefined) instances.push(instance);
      } catch (error) {
        host.skip(`${service}/${describeEntry(entry)}`, error);
      }
      const other = turns.next();
      if (other !== undefined) await other;
    }
    return Object.freeze(instances);
  }
}

/** What all datacentres have that ever answered. @throws DiscoveryError when none answers now */
function allThatAreKnown<T>(parts: readonly Part<readonly T[]>[]): readonly T[] {
  const errors: DiscoveryError[] = parts.flatMap(({ error }) => error ?? []);
  const [first] = errors;
  if (first !== undefined && errors.length === parts.length) throw first;
  return Object.freeze(parts.flatMap(({ value }) => value ?? []));
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
