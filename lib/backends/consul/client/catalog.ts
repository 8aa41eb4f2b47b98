import type { Answer } from './meta.js';
import type { ConsulCallOptions, ConsulRequests, ReadOptions } from './requests.js';
import type { AgentService, CatalogNode, CatalogService, HealthCheck, ServiceEntry, ServiceWeights } from './types.js';
import type { CheckStatus, TaggedAddress } from './types.js';
import { definition, goDuration, segment, type Duration } from './values.js';

/** A check of an entry of the catalogue. */
export interface CatalogCheckDefinition {
  readonly Node?: string;
  readonly CheckID?: string;
  readonly Name?: string;
  readonly Notes?: string;
  readonly Status?: CheckStatus;
  readonly ServiceID?: string;
  readonly Output?: string;
  /** What an external monitor is to do. */
  readonly Definition?: {
    readonly HTTP?: string;
    readonly TCP?: string;
    readonly Interval?: Duration;
    readonly Timeout?: Duration;
    readonly DeregisterCriticalServiceAfter?: Duration;
  };
}

/** An entry to write straight into the catalogue: for what has no agent of its own. */
export interface CatalogRegistration {
  readonly Node: string;
  readonly Address: string;
  readonly ID?: string;
  readonly Datacenter?: string;
  readonly TaggedAddresses?: Readonly<Record<string, string>>;
  readonly NodeMeta?: Readonly<Record<string, string>>;
  readonly Service?: {
    readonly ID?: string;
    readonly Service: string;
    readonly Tags?: readonly string[];
    readonly Address?: string;
    readonly TaggedAddresses?: Readonly<Record<string, TaggedAddress>>;
    readonly Meta?: Readonly<Record<string, string>>;
    readonly Port?: number;
    readonly Weights?: ServiceWeights;
  };
  readonly Check?: CatalogCheckDefinition;
  readonly Checks?: readonly CatalogCheckDefinition[];
  readonly SkipNodeUpdate?: boolean;
}

/** What to remove: a service or a check of a node, or the node with all that it has. */
export interface CatalogDeregistration {
  readonly Node: string;
  readonly Datacenter?: string;
  readonly ServiceID?: string;
  readonly CheckID?: string;
  /** Ignored by servers. */
  readonly Address?: string;
}

/** A node with its services. */
export interface CatalogNodeServices {
  readonly Node: CatalogNode;
  readonly Services: Readonly<Record<string, AgentService>>;
}

/** A node, or what carries its name. */
export type NodeLike = string | { readonly Node: string } | { readonly Name: string };

const NODE_KEYS = ['Node', 'Name'];

/** Options of reads that know tags. */
export interface TaggedReadOptions extends ReadOptions {
  /** Only instances with this tag, or with all of these. */
  readonly tag?: string | readonly string[];
}

/** What all servers of a datacentre know. */
export class CatalogApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Writes a node, a service, checks. Entries of an agent's own node are overwritten by that agent. */
  async register(entry: CatalogRegistration, options: ConsulCallOptions = {}): Promise<boolean> {
    const { Check, Checks, ...rest } = entry;
    const json = {
      ...definition(rest),
      ...(Check === undefined ? {} : { Check: catalogCheck(Check) }),
      ...(Checks === undefined ? {} : { Checks: Checks.map(catalogCheck) }),
    };
    return (await this.http.request('PUT', '/catalog/register', { ...options, json })).flag();
  }

  /** Removes a node, or a service or check of it; true also when there was none. */
  async deregister(entry: CatalogDeregistration, options: ConsulCallOptions = {}): Promise<boolean> {
    const { Address: _, ...json } = entry;
    return (await this.http.request('PUT', '/catalog/deregister', { ...options, json: definition(json) })).flag();
  }

  /** Names of all datacentres, the nearest first. */
  async datacenters(options?: ReadOptions): Promise<readonly string[]> {
    return (await this.http.request('GET', '/catalog/datacenters', options)).list<string>();
  }

  /** All nodes. */
  async nodes(options?: ReadOptions): Promise<Answer<readonly CatalogNode[]>> {
    const response = await this.http.request('GET', '/catalog/nodes', options);
    return response.with(response.list<CatalogNode>());
  }

  /** A node with its services; undefined when there is none. */
  async node(node: NodeLike, options?: ReadOptions): Promise<Answer<CatalogNodeServices | undefined>> {
    const response = await this.http.request('GET', `/catalog/node/${segment(node, NODE_KEYS, 'node')}`, options);
    return response.with(response.json() === null ? undefined : response.object<CatalogNodeServices>());
  }

  /** All services, by name, with all their tags, which come in any order. */
  async services(options?: ReadOptions): Promise<Answer<Readonly<Record<string, readonly string[]>>>> {
    const response = await this.http.request('GET', '/catalog/services', options);
    return response.with(response.object<Record<string, readonly string[]>>());
  }

  /** The instances of a service, whatever their health. */
  async service(
    name: string | { readonly Name: string },
    { tag, ...options }: TaggedReadOptions = {},
  ): Promise<Answer<readonly CatalogService[]>> {
    const path = `/catalog/service/${segment(name, ['Name'], 'service')}`;
    const response = await this.http.request('GET', path, { ...options, query: { tag } });
    return response.with(response.list<CatalogService>());
  }
}

/** The state of health that all servers of a datacentre know. */
export class HealthApi {
  constructor(private readonly http: ConsulRequests) {}

  /** The checks of a node. */
  node(node: NodeLike, options?: ReadOptions): Promise<Answer<readonly HealthCheck[]>> {
    return this.checksAt(`/health/node/${segment(node, NODE_KEYS, 'node')}`, options);
  }

  /** The checks of a service. */
  checks(service: string | { readonly Name: string }, options?: ReadOptions): Promise<Answer<readonly HealthCheck[]>> {
    return this.checksAt(`/health/checks/${segment(service, ['Name'], 'service')}`, options);
  }

  /** All checks in a state. */
  state(state: CheckStatus | 'any', options?: ReadOptions): Promise<Answer<readonly HealthCheck[]>> {
    return this.checksAt(`/health/state/${segment(state, [], 'state')}`, options);
  }

  /** The instances of a service with their nodes and checks; with `passing` only those whose every check passes. */
  service(
    service: string | { readonly Name: string },
    options: TaggedReadOptions & { readonly passing?: boolean } = {},
  ): Promise<Answer<readonly ServiceEntry[]>> {
    return this.entriesAt('service', service, options);
  }

  /** The instances of a service that speak Connect, and their proxies. */
  connect(
    service: string | { readonly Name: string },
    options: TaggedReadOptions & { readonly passing?: boolean } = {},
  ): Promise<Answer<readonly ServiceEntry[]>> {
    return this.entriesAt('connect', service, options);
  }

  private async entriesAt(
    kind: 'service' | 'connect',
    service: string | { readonly Name: string },
    { tag, passing, ...options }: TaggedReadOptions & { readonly passing?: boolean },
  ): Promise<Answer<readonly ServiceEntry[]>> {
    const path = `/health/${kind}/${segment(service, ['Name'], 'service')}`;
    const response = await this.http.request('GET', path, { ...options, query: { tag, passing: passing === true } });
    return response.with(response.list<ServiceEntry>());
  }

  private async checksAt(path: string, options: ReadOptions | undefined): Promise<Answer<readonly HealthCheck[]>> {
    const response = await this.http.request('GET', path, options);
    return response.with(response.list<HealthCheck>());
  }
}

function catalogCheck(check: CatalogCheckDefinition): Record<string, unknown> {
  const { Definition, ...rest } = check;
  const json = definition(rest);
  if (Definition === undefined) return json;
  const { Interval, Timeout, DeregisterCriticalServiceAfter, ...kinds } = Definition;
  const durations = { Interval, Timeout, DeregisterCriticalServiceAfter };
  const texts = Object.entries(durations).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, goDuration(value, key)]],
  );
  return { ...json, Definition: { ...kinds, ...Object.fromEntries(texts) } };
}
