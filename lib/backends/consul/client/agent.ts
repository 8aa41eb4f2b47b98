import type { ConsulCallOptions, ConsulRequests, ReadOptions } from './requests.js';
import type { AgentService, CheckDefinition, CheckStatus, HealthCheck, ServiceDefinition } from './types.js';
import { definition, segment, secretOf, type ObjectId, type TokenLike } from './values.js';

/** What an agent knows of itself. */
export interface AgentSelf {
  readonly Config: {
    readonly Datacenter: string;
    readonly NodeName: string;
    readonly NodeID: string;
    readonly Server: boolean;
    readonly Version: string;
    readonly Revision: string;
  };
  readonly DebugConfig?: object;
  readonly Coord?: object;
  readonly Member: AgentMember;
  readonly Meta?: Readonly<Record<string, string>> | null;
  readonly Stats?: object;
}

/** A member of the cluster, as gossip knows it. */
export interface AgentMember {
  readonly Name: string;
  readonly Addr: string;
  readonly Port: number;
  readonly Tags: Readonly<Record<string, string>>;
  /** 0 none, 1 alive, 2 leaving, 3 left, 4 failed. */
  readonly Status: number;
}

/** The agent's metrics of the last interval. */
export interface AgentMetrics {
  readonly Timestamp: string;
  readonly Gauges: readonly object[];
  readonly Points: readonly object[] | null;
  readonly Counters: readonly object[];
  readonly Samples: readonly object[];
}

/** What an agent's own tokens are for. */
export type AgentTokenKind =
  'default' | 'agent' | 'config_file_service_registration' | 'agent_recovery' | 'replication' | 'dns';

/** Options of switching maintenance. */
export interface MaintenanceOptions extends ConsulCallOptions {
  /** Shown in the check that it sets. */
  readonly reason?: string;
}

/** The agent that the client talks to. */
export class AgentApi {
  constructor(private readonly http: ConsulRequests) {}

  /** The agent's own configuration and member data. */
  async self(options?: ReadOptions): Promise<AgentSelf> {
    return (await this.http.request('GET', '/agent/self', options)).object<AgentSelf>();
  }

  /** The machine that it runs on. */
  async host(options?: ReadOptions): Promise<object> {
    return (await this.http.request('GET', '/agent/host', options)).object();
  }

  /** Its version, since 1.11. */
  async version(options?: ReadOptions): Promise<{ readonly HumanVersion: string; readonly SHA: string }> {
    return (await this.http.request('GET', '/agent/version', options)).object();
  }

  /** Its metrics. */
  async metrics(options?: ReadOptions): Promise<AgentMetrics> {
    return (await this.http.request('GET', '/agent/metrics', options)).object<AgentMetrics>();
  }

  /** Its metrics as Prometheus reads them; the agent must have `prometheus_retention_time`. */
  async prometheusMetrics(options?: ReadOptions): Promise<string> {
    return (await this.http.request('GET', '/agent/metrics', { ...options, query: { format: 'prometheus' } })).text;
  }

  /** Switches the maintenance of the whole node on: its services are taken out of use. */
  disable(options: MaintenanceOptions = {}): Promise<boolean> {
    return this.maintenance(true, options);
  }

  /** Switches the maintenance of the node off. */
  enable(options: MaintenanceOptions = {}): Promise<boolean> {
    return this.maintenance(false, options);
  }

  /** Switches the maintenance of the node. */
  async maintenance(enable: boolean, { reason, ...options }: MaintenanceOptions = {}): Promise<boolean> {
    const query = { enable: String(enable), reason };
    await this.http.request('PUT', '/agent/maintenance', { ...options, query });
    return true;
  }

  /**
   * Has the agent read its configuration again. One that keeps nothing on disk (`-dev`) forgets what was registered at it.
   */
  async reload(options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('PUT', '/agent/reload', options);
    return true;
  }

  /** Has the agent leave the cluster and end. */
  async leave(options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('PUT', '/agent/leave', options);
    return true;
  }

  /** Replaces one of the agent's own tokens. */
  async setToken(kind: AgentTokenKind, token: TokenLike, options?: ConsulCallOptions): Promise<boolean> {
    const json = { Token: secretOf(token) };
    await this.http.request('PUT', `/agent/token/${segment(kind, [], 'kind')}`, { ...options, json });
    return true;
  }
}

/** The cluster, as the agent's gossip sees it. */
export class MembersApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Its members; with `wan` the servers of all datacentres. */
  async list({ wan, ...options }: ReadOptions & { readonly wan?: boolean } = {}): Promise<readonly AgentMember[]> {
    const query = { wan: wan === true ? '1' : undefined };
    return (await this.http.request('GET', '/agent/members', { ...options, query })).list<AgentMember>();
  }

  /** Has the agent join another; with `wan` as a server of another datacentre. */
  async join(
    address: string,
    { wan, ...options }: ConsulCallOptions & { readonly wan?: boolean } = {},
  ): Promise<boolean> {
    const query = { wan: wan === true ? '1' : undefined };
    await this.http.request('PUT', `/agent/join/${segment(address, [], 'address')}`, { ...options, query });
    return true;
  }

  /** Takes a member that failed for one that left; with `prune` it is forgotten at once. */
  async forceLeave(
    node: string | { readonly Name: string } | { readonly Node: string },
    { prune, wan, ...options }: ConsulCallOptions & { readonly prune?: boolean; readonly wan?: boolean } = {},
  ): Promise<boolean> {
    const query = { prune: prune === true, wan: wan === true };
    await this.http.request('PUT', `/agent/force-leave/${segment(node, ['Name', 'Node'], 'node')}`, {
      ...options,
      query,
    });
    return true;
  }
}

/** A check, or what carries its id. */
export type CheckLike =
  ObjectId | { readonly CheckID: string } | { readonly Name: string; readonly ID?: string; readonly CheckID?: string };

const CHECK_KEYS = ['CheckID', 'ID', 'Name'];
const CHECK_DURATIONS = ['TTL', 'Interval', 'Timeout', 'DeregisterCriticalServiceAfter'];

/** The checks of the agent. */
export class ChecksApi {
  constructor(private readonly http: ConsulRequests) {}

  /** All of them, by id. */
  async list(options?: ReadOptions): Promise<Readonly<Record<string, HealthCheck>>> {
    return (await this.http.request('GET', '/agent/checks', options)).object();
  }

  /** Registers a check, or replaces the one of its id. */
  async register(check: CheckDefinition & { readonly Name: string }, options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('PUT', '/agent/check/register', { ...options, json: definition(check, CHECK_DURATIONS) });
    return true;
  }

  /**
   * Removes a check.
   * @throws ConsulError `not-found` when there is none
   */
  async deregister(check: CheckLike, options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('PUT', `/agent/check/deregister/${segment(check, CHECK_KEYS, 'check')}`, options);
    return true;
  }

  /** Says that a TTL check passes. */
  passing(check: CheckLike, options: ConsulCallOptions & { readonly note?: string } = {}): Promise<boolean> {
    return this.note('pass', check, options);
  }

  /** Says that a TTL check is in a state to watch. */
  warning(check: CheckLike, options: ConsulCallOptions & { readonly note?: string } = {}): Promise<boolean> {
    return this.note('warn', check, options);
  }

  /** Says that a TTL check fails. */
  critical(check: CheckLike, options: ConsulCallOptions & { readonly note?: string } = {}): Promise<boolean> {
    return this.note('fail', check, options);
  }

  /**
   * Sets the state of a TTL check.
   * @throws ConsulError `not-found` when there is no such check; `server` when it is of another kind
   */
  async mark(
    check: CheckLike,
    status: CheckStatus,
    { note, ...options }: ConsulCallOptions & { readonly note?: string } = {},
  ): Promise<boolean> {
    const json = definition({ Status: status, Output: note });
    await this.http.request('PUT', `/agent/check/update/${segment(check, CHECK_KEYS, 'check')}`, { ...options, json });
    return true;
  }

  private async note(
    what: 'pass' | 'warn' | 'fail',
    check: CheckLike,
    { note, ...options }: ConsulCallOptions & { readonly note?: string },
  ): Promise<boolean> {
    const path = `/agent/check/${what}/${segment(check, CHECK_KEYS, 'check')}`;
    await this.http.request('PUT', path, { ...options, query: { note } });
    return true;
  }
}

/** A service of the agent, or what carries its id. */
export type ServiceLike =
  | ObjectId
  | { readonly ServiceID: string }
  | { readonly Name: string; readonly ID?: string }
  | { readonly Service: string; readonly ID?: string };

const SERVICE_KEYS = ['ID', 'ServiceID', 'Name', 'Service'];

/** The health of a service as the agent sums it up. */
export interface AgentServiceHealth<T> {
  readonly status: CheckStatus;
  readonly value: T;
}

const HEALTH_STATUSES: Readonly<Record<number, CheckStatus>> = { 200: 'passing', 429: 'warning', 503: 'critical' };

/** The services of the agent. */
export class ServicesApi {
  constructor(private readonly http: ConsulRequests) {}

  /** All of them, by id. */
  async list(options?: ReadOptions): Promise<Readonly<Record<string, AgentService>>> {
    return (await this.http.request('GET', '/agent/services', options)).object();
  }

  /**
   * One service.
   * @throws ConsulError `not-found` when the agent has none of this id
   */
  async info(service: ServiceLike, options?: ReadOptions): Promise<AgentService> {
    return (
      await this.http.request('GET', `/agent/service/${segment(service, SERVICE_KEYS, 'service')}`, options)
    ).object();
  }

  /** Registers a service, or replaces the one of its id. */
  async register(
    service: ServiceDefinition,
    { replaceExistingChecks, ...options }: ConsulCallOptions & { readonly replaceExistingChecks?: boolean } = {},
  ): Promise<boolean> {
    const { Check, Checks, ...rest } = service;
    const json = {
      ...definition(rest),
      ...(Check === undefined ? {} : { Check: definition(Check, CHECK_DURATIONS) }),
      ...(Checks === undefined ? {} : { Checks: Checks.map((check) => definition(check, CHECK_DURATIONS)) }),
    };
    const query = { 'replace-existing-checks': replaceExistingChecks === true ? 'true' : undefined };
    await this.http.request('PUT', '/agent/service/register', { ...options, query, json });
    return true;
  }

  /**
   * Removes a service with its checks.
   * @throws ConsulError `not-found` when the agent has none of this id
   */
  async deregister(service: ServiceLike, options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('PUT', `/agent/service/deregister/${segment(service, SERVICE_KEYS, 'service')}`, options);
    return true;
  }

  /** Switches the maintenance of a service on: it is taken out of use. */
  disable(service: ServiceLike, options: MaintenanceOptions = {}): Promise<boolean> {
    return this.maintenance(service, true, options);
  }

  /** Switches the maintenance of a service off. */
  enable(service: ServiceLike, options: MaintenanceOptions = {}): Promise<boolean> {
    return this.maintenance(service, false, options);
  }

  /** Switches the maintenance of a service. */
  async maintenance(
    service: ServiceLike,
    enable: boolean,
    { reason, ...options }: MaintenanceOptions = {},
  ): Promise<boolean> {
    const path = `/agent/service/maintenance/${segment(service, SERVICE_KEYS, 'service')}`;
    await this.http.request('PUT', path, { ...options, query: { enable: String(enable), reason } });
    return true;
  }

  /**
   * The health of one service.
   * @throws ConsulError `not-found` when the agent has none of this id
   */
  async health(
    service: ServiceLike,
    options?: ReadOptions,
  ): Promise<AgentServiceHealth<{ readonly Service: AgentService; readonly Checks: readonly HealthCheck[] }>> {
    const path = `/agent/health/service/id/${segment(service, SERVICE_KEYS, 'service')}`;
    const response = await this.http.request('GET', path, { ...options, accept: [429, 503] });
    return { status: HEALTH_STATUSES[response.status] ?? 'critical', value: response.object() };
  }

  /**
   * The health of all services of a name at this agent, and the worst of them.
   * @throws ConsulError `not-found` when the agent has none of this name
   */
  async healthByName(
    name: string,
    options?: ReadOptions,
  ): Promise<
    AgentServiceHealth<readonly { readonly AggregatedStatus: CheckStatus; readonly Service: AgentService }[]>
  > {
    const path = `/agent/health/service/name/${segment(name, [], 'name')}`;
    const response = await this.http.request('GET', path, { ...options, accept: [429, 503] });
    return { status: HEALTH_STATUSES[response.status] ?? 'critical', value: response.list() };
  }
}
