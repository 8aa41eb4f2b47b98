import { ConsulError } from './errors.js';
import type { Answer } from './meta.js';
import type { ConsulCallOptions, ConsulRequests, ReadOptions } from './requests.js';
import type { ServiceEntry } from './types.js';
import { definition, goDuration, segment, type Duration } from './values.js';

/** A prepared query to store. */
export interface QueryDefinition {
  readonly Name?: string;
  /** Session with which it ends. */
  readonly Session?: string;
  /** Token with which it runs, for whoever executes it. */
  readonly Token?: string;
  readonly Service: {
    readonly Service: string;
    readonly Failover?: {
      readonly NearestN?: number;
      readonly Datacenters?: readonly string[];
      readonly Targets?: readonly { readonly Peer?: string; readonly Datacenter?: string }[];
    };
    readonly OnlyPassing?: boolean;
    readonly IgnoreCheckIDs?: readonly string[];
    readonly Near?: string;
    /** With `!` before it, those without the tag. */
    readonly Tags?: readonly string[];
    readonly NodeMeta?: Readonly<Record<string, string>>;
    readonly ServiceMeta?: Readonly<Record<string, string>>;
    readonly Connect?: boolean;
  };
  readonly DNS?: { readonly TTL?: Duration };
  readonly Template?: { readonly Type: string; readonly Regexp?: string; readonly RemoveEmptyTags?: boolean };
}

/** A prepared query as it is stored. */
export type PreparedQuery = QueryDefinition & {
  readonly ID: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
};

/** What a prepared query found. */
export interface QueryResult {
  readonly Service: string;
  readonly Nodes: readonly ServiceEntry[];
  readonly DNS: { readonly TTL: string };
  readonly Datacenter: string;
  /** How many other datacentres were asked. */
  readonly Failovers: number;
}

/** A prepared query, or what carries its id or name. */
export type QueryLike = string | { readonly ID: string } | { readonly Name: string };

const ID_KEYS = ['ID'];
const NAME_KEYS = ['ID', 'Name'];

/** Prepared queries: look-ups that are stored at the servers. */
export class QueryApi {
  constructor(private readonly http: ConsulRequests) {}

  /** All of them; tokens are hidden from those who may not see them. */
  async list(options?: ReadOptions): Promise<Answer<readonly PreparedQuery[]>> {
    const response = await this.http.request('GET', '/query', options);
    return response.with(response.list<PreparedQuery>());
  }

  /** Stores a query; gives its id. */
  async create(query: QueryDefinition, options?: ConsulCallOptions): Promise<string> {
    return (await this.http.request('POST', '/query', { ...options, json: encode(query) })).id();
  }

  /**
   * One query.
   * @throws ConsulError `not-found` when there is none of this id
   */
  async read(query: string | { readonly ID: string }, options?: ReadOptions): Promise<Answer<PreparedQuery>> {
    const response = await this.http.request('GET', `/query/${segment(query, ID_KEYS, 'query')}`, options);
    const [found] = response.list<PreparedQuery>();
    if (found !== undefined) return response.with(found);
    throw new ConsulError('not-found', 'there is no such prepared query', {
      operation: 'GET /v1/query',
    });
  }

  /** Replaces a query. */
  async update(query: QueryDefinition & { readonly ID: string }, options?: ConsulCallOptions): Promise<boolean> {
    const path = `/query/${segment(query, ID_KEYS, 'query')}`;
    await this.http.request('PUT', path, { ...options, json: encode(query) });
    return true;
  }

  /** Removes a query. */
  async delete(query: string | { readonly ID: string }, options?: ConsulCallOptions): Promise<boolean> {
    await this.http.request('DELETE', `/query/${segment(query, ID_KEYS, 'query')}`, options);
    return true;
  }

  /**
   * Runs a query, by id or name.
   * @throws ConsulError `not-found` when there is none
   */
  async execute(
    query: QueryLike,
    { limit, ...options }: ReadOptions & { readonly limit?: number } = {},
  ): Promise<Answer<QueryResult>> {
    const path = `/query/${segment(query, NAME_KEYS, 'query')}/execute`;
    const response = await this.http.request('GET', path, { ...options, query: { limit: limit?.toString() } });
    return response.with(response.object<QueryResult>());
  }

  /**
   * The query that would run under a name, with its template filled in.
   * @throws ConsulError `not-found` when there is none
   */
  async explain(query: QueryLike, options?: ReadOptions): Promise<Answer<{ readonly Query: PreparedQuery }>> {
    const response = await this.http.request('GET', `/query/${segment(query, NAME_KEYS, 'query')}/explain`, options);
    return response.with(response.object<{ Query: PreparedQuery }>());
  }
}

function encode(query: QueryDefinition): Record<string, unknown> {
  const { DNS, ...rest } = query;
  const json = definition(rest);
  return DNS?.TTL === undefined ? json : { ...json, DNS: { TTL: goDuration(DNS.TTL, 'DNS.TTL') } };
}
