import { ConsulError } from './errors.js';
import type { NodeLike } from './catalog.js';
import type { Answer, WriteAnswer } from './meta.js';
import type { ConsulCallOptions, ConsulRequests, ReadOptions } from './requests.js';
import { definition, segment, type Duration, type ObjectId } from './values.js';

/** A session to create. */
export interface SessionDefinition {
  readonly Name?: string;
  /** @default the agent's node */
  readonly Node?: string;
  /** How long what it held can't be locked after it ended by itself. @default '15s' */
  readonly LockDelay?: Duration;
  /** Checks of the node that end it when they fail. @default the agent's own (`serfHealth`) */
  readonly NodeChecks?: readonly string[];
  readonly ServiceChecks?: readonly { readonly ID: string; readonly Namespace?: string }[];
  /** As `NodeChecks`, before 1.7. */
  readonly Checks?: readonly string[];
  /** What becomes of the entries that it holds when it ends. @default 'release' */
  readonly Behavior?: 'release' | 'delete';
  /** It ends by itself when it isn't renewed for this long, or up to twice as long: 10 seconds to a day. */
  readonly TTL?: Duration;
}

/** A session. */
export interface Session {
  readonly ID: string;
  readonly Name: string;
  readonly Node: string;
  /** In nanoseconds, as Consul tells it. */
  readonly LockDelay: number;
  readonly Behavior: 'release' | 'delete';
  readonly TTL: string;
  readonly NodeChecks?: readonly string[] | null;
  readonly ServiceChecks?: readonly { readonly ID: string }[] | null;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

/** Sessions: what locks are held with. */
export class SessionApi {
  constructor(private readonly http: ConsulRequests) {}

  /** Creates a session; gives its id. */
  async create(session: SessionDefinition = {}, options?: ConsulCallOptions): Promise<string> {
    const json = definition(session, ['LockDelay', 'TTL']);
    return (await this.http.request('PUT', '/session/create', { ...options, json })).id();
  }

  /** Ends a session; true also when there was none. */
  async destroy(session: ObjectId, options?: ConsulCallOptions): Promise<boolean> {
    return (await this.http.request('PUT', `/session/destroy/${segment(session, ['ID'], 'session')}`, options)).flag();
  }

  /** A session; undefined when there is none. */
  async info(session: ObjectId, options?: ReadOptions): Promise<Answer<Session | undefined>> {
    const response = await this.http.request('GET', `/session/info/${segment(session, ['ID'], 'session')}`, options);
    return response.with(response.list<Session>()[0]);
  }

  /**
   * Lets a session live on for another TTL. Its meta is undefined unless Consul sends one.
   * @throws ConsulError `not-found` when it has ended
   */
  async renew(session: ObjectId, options?: ConsulCallOptions): Promise<WriteAnswer<Session>> {
    const path = `/session/renew/${segment(session, ['ID'], 'session')}`;
    const response = await this.http.request('PUT', path, options);
    const [renewed] = response.list<Session>();
    if (renewed !== undefined) return response.written(renewed);
    throw new ConsulError('protocol', 'Consul renewed a session and told none', {
      operation: 'PUT /v1/session/renew',
    });
  }

  /** The sessions of a node. */
  async node(node: NodeLike, options?: ReadOptions): Promise<Answer<readonly Session[]>> {
    const path = `/session/node/${segment(node, ['Node', 'Name'], 'node')}`;
    const response = await this.http.request('GET', path, options);
    return response.with(response.list<Session>());
  }

  /** All sessions. */
  async list(options?: ReadOptions): Promise<Answer<readonly Session[]>> {
    const response = await this.http.request('GET', '/session/list', options);
    return response.with(response.list<Session>());
  }
}
