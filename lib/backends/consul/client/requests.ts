import { defined } from '../../../model/index.js';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock, HttpAnswer, Logger } from '../../../backend/index.js';
import { ConsulError, errorOf, isConsulError } from './errors.js';
import { hasMeta, metaOf, type Answer, type ConsulMeta, type WriteAnswer } from './meta.js';
import type { TokenSource } from './token.js';
import type { Transport } from './transport.js';
import {
  blockingOf,
  bytesOf,
  durationMs,
  secretOf,
  type Blocking,
  type Consistency,
  type Duration,
  type Payload,
  type TokenLike,
} from './values.js';

/** What every operation takes. */
export interface ConsulCallOptions {
  /** Instead of the client's own. */
  readonly token?: TokenLike;
  /** Datacentre to ask. @default the client's, else the agent's */
  readonly dc?: string;
  /** Namespace; Consul Enterprise only. */
  readonly ns?: string;
  /** Admin partition; Consul Enterprise only. */
  readonly partition?: string;
  readonly signal?: AbortSignal;
  /** How long to wait for the answer, beyond what the server was asked to wait; in milliseconds. @default the client's */
  readonly timeoutMs?: number;
}

/** What every read takes. */
export interface ReadOptions extends ConsulCallOptions {
  /** @default the client's */
  readonly consistency?: Consistency;
  /** With `stale`: an answer whose server heard of the leader longer ago is asked for again, without `stale`. */
  readonly maxStale?: Duration;
  /** Wait for a change: an index or the meta of an earlier answer, or a pair of that and a duration. */
  readonly watch?: Blocking;
  /** Sort by the estimated distance from this node; `_agent` is the agent's own. */
  readonly near?: string;
  /** A filter expression that the server evaluates: `ServiceMeta.zone == "z1"`. */
  readonly filter?: string;
  /** Only nodes with this metadata. */
  readonly nodeMeta?: Readonly<Record<string, string>>;
  /**
   * Take the answer from the agent's cache, where the endpoint has one. An object sets how old it may be.
   * Not together with `consistent`.
   */
  readonly cached?: boolean | { readonly maxAgeSeconds?: number; readonly staleIfErrorSeconds?: number };
}

/** Options of one request to Consul. */
export interface RequestOptions extends ReadOptions {
  /** Parameters of the query beside those of {@link ReadOptions}; `true` is a parameter without a value. */
  readonly query?: Readonly<Record<string, string | number | bigint | boolean | readonly string[] | undefined>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is, instead of `json`. */
  readonly body?: Payload;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are answers and not errors, besides 2xx. */
  readonly accept?: readonly number[];
  /** Longest answer, in bytes. @default the client's */
  readonly maxBytes?: number;
}

/** Defaults of a client's requests. */
export interface RequestDefaults {
  readonly datacenter: string | undefined;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
  readonly consistency: Consistency;
  readonly requestTimeoutMs: number;
  /** How long a blocking query waits when it doesn't say, in milliseconds. */
  readonly waitMs: number;
}

/** The longest that a server waits. */
const MAX_WAIT_MS = 600_000;

/** An answer with its body. */
export class ConsulResponse {
  readonly meta: ConsulMeta;

  constructor(
    readonly status: number,
    readonly headers: IncomingHttpHeaders,
    readonly body: Buffer,
    private readonly operation: string,
  ) {
    this.meta = metaOf(headers);
  }

  /** The body as text. */
  get text(): string {
    return this.body.toString('utf8');
  }

  /**
   * The body as JSON.
   * @param prepare changes the text before it is parsed
   * @throws ConsulError `protocol` when it is none
   */
  json(prepare: (text: string) => string = (text) => text): unknown {
    try {
      return JSON.parse(prepare(this.text)) as unknown;
    } catch (cause) {
      throw this.unexpected('JSON', cause);
    }
  }

  /** A list; null, which older servers write for an empty one, counts as empty. */
  list<T>(prepare?: (text: string) => string): T[] {
    const value = this.json(prepare);
    if (value === null) return [];
    if (!Array.isArray(value)) throw this.unexpected('a list');
    return value as T[];
  }

  /** An object, whose fields are the server's word. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller names the shape that Consul documents
  object<T extends object>(prepare?: (text: string) => string): T {
    const value = this.json(prepare);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.unexpected('an object');
    return value as T;
  }

  /** True or false. */
  flag(): boolean {
    const value = this.json();
    if (typeof value !== 'boolean') throw this.unexpected('true or false');
    return value;
  }

  /** The one text under `ID`. */
  id(): string {
    const { ID } = this.object<{ ID?: unknown }>();
    if (typeof ID !== 'string') throw this.unexpected('an id');
    return ID;
  }

  /** `value` with the meta of this answer. */
  with<T>(value: T): Answer<T> {
    return [value, this.meta];
  }

  /** `value` with the meta of this answer if it has one: nothing is made up. */
  written<T>(value: T): WriteAnswer<T> {
    return [value, hasMeta(this.headers) ? this.meta : undefined];
  }

  private unexpected(what: string, cause?: unknown): ConsulError {
    return new ConsulError('protocol', `${this.operation} should have been answered with ${what}`, {
      status: this.status,
      operation: this.operation,
      ...defined({ cause }),
    });
  }
}

/** Requests with all that they have in common; the parts of a client are built on it. */
export class ConsulRequests {
  constructor(
    private readonly transport: Transport,
    private readonly tokens: TokenSource,
    readonly defaults: RequestDefaults,
    readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Whether requests carry a token by themselves. */
  get hasToken(): boolean {
    return this.tokens.configured;
  }

  /**
   * Any operation, also one that this client has no method for.
   *
   * @param path below `/v1`, encoded: `/kv/a/b`
   * @throws ConsulError, its `kind` by the status; DiscoveryError `ABORTED` or `BACKEND_CLOSED`
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<ConsulResponse> {
    const response = await this.exchange(method, path, options);
    const { consistency = this.defaults.consistency, maxStale } = options;
    if (consistency === 'stale' && maxStale !== undefined) {
      const { LastContact, KnownLeader } = response.meta;
      if (LastContact > durationMs(maxStale, 'maxStale') || !KnownLeader) {
        const { watch: _, ...rest } = options;
        return this.exchange(method, path, { ...rest, consistency: 'default' });
      }
    }
    return response;
  }

  private async exchange(method: string, path: string, options: RequestOptions): Promise<ConsulResponse> {
    // A query may hold data, and this text is shown.
    const operation = `${method} /v1${path.split('?', 1)[0] ?? ''}`;
    const given = options.token === undefined ? undefined : secretOf(options.token);
    const token = given ?? (await this.tokens.current());
    const wire = await this.send(operation, method, path, options, token);
    try {
      return toResponse(wire, operation, options.accept, token);
    } catch (error) {
      // The token in the file may have been replaced a moment ago.
      if (!isConsulError(error, 'unauthorized') || given !== undefined) throw error;
      const replacement = await this.tokens.replacementOf(token);
      if (replacement === undefined) throw error;
      this.logger.log(`the token was replaced; ${operation} is asked again`);
      const again = await this.send(operation, method, path, options, replacement);
      return toResponse(again, operation, options.accept, replacement);
    }
  }

  private send(
    operation: string,
    method: string,
    path: string,
    options: RequestOptions,
    token: string | undefined,
  ): Promise<HttpAnswer> {
    const { query, waitMs } = this.query(method, path, options);
    const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
    if (token !== undefined) headers['X-Consul-Token'] = token;
    if (typeof options.cached === 'object') headers['Cache-Control'] = cacheControl(options.cached);
    let body: Uint8Array | undefined;
    if (options.body !== undefined) {
      body = bytesOf(options.body, 'body');
      headers['Content-Type'] ??= 'application/octet-stream';
    } else if (options.json !== undefined) {
      body = Buffer.from(JSON.stringify(options.json), 'utf8');
      headers['Content-Type'] = 'application/json';
    }
    if (body !== undefined || method !== 'GET') headers['Content-Length'] = String(body?.length ?? 0);
    const timeoutMs = options.timeoutMs ?? this.defaults.requestTimeoutMs;
    return this.transport.send({
      method,
      path: `/v1${path}${query}`,
      headers,
      body,
      signal: options.signal,
      // The server adds up to a sixteenth to the wait.
      timeoutMs: waitMs === undefined ? timeoutMs : waitMs + waitMs / 16 + timeoutMs,
      pool: waitMs === undefined ? 'requests' : 'watches',
      maxBytes: options.maxBytes,
      operation,
    });
  }

  private query(method: string, path: string, options: RequestOptions): { query: string; waitMs: number | undefined } {
    const { defaults } = this;
    const params = new Params();
    params.add('dc', options.dc ?? defaults.datacenter);
    params.add('ns', options.ns ?? defaults.namespace);
    params.add('partition', options.partition ?? defaults.partition);
    let waitMs: number | undefined;
    if (method === 'GET') {
      const consistency = options.consistency ?? defaults.consistency;
      if (consistency !== 'default') params.flag(consistency);
      if (options.watch !== undefined) {
        const { index, waitMs: asked } = blockingOf(options.watch);
        params.add('index', index);
        waitMs = Math.min(asked ?? defaults.waitMs, MAX_WAIT_MS);
        params.add('wait', `${Math.max(1, Math.round(waitMs))}ms`);
      }
      params.add('near', options.near);
      params.add('filter', options.filter);
      for (const [key, value] of Object.entries(options.nodeMeta ?? {})) params.add('node-meta', `${key}:${value}`);
      if (options.cached !== undefined && options.cached !== false) params.flag('cached');
    }
    for (const [key, value] of Object.entries(options.query ?? {})) {
      if (value === true) params.flag(key);
      else if (Array.isArray(value)) for (const one of value) params.add(key, String(one));
      else if (value !== undefined && value !== false) params.add(key, String(value));
    }
    const query = params.toString();
    return { query: query === '' ? '' : `${path.includes('?') ? '&' : '?'}${query}`, waitMs };
  }
}

/** A query whose flags have no value. */
class Params {
  private readonly parts: string[] = [];

  add(key: string, value: string | undefined): void {
    if (value !== undefined) this.parts.push(`${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  }

  flag(key: string): void {
    this.parts.push(encodeURIComponent(key));
  }

  toString(): string {
    return this.parts.join('&');
  }
}

function cacheControl(cached: { readonly maxAgeSeconds?: number; readonly staleIfErrorSeconds?: number }): string {
  const parts = [
    ...(cached.maxAgeSeconds === undefined ? [] : [`max-age=${cached.maxAgeSeconds}`]),
    ...(cached.staleIfErrorSeconds === undefined ? [] : [`stale-if-error=${cached.staleIfErrorSeconds}`]),
  ];
  return parts.join(', ');
}

function toResponse(
  { status, headers, body }: HttpAnswer,
  operation: string,
  accept: readonly number[] | undefined,
  token: string | undefined,
): ConsulResponse {
  if ((status >= 200 && status < 300) || accept?.includes(status) === true) {
    return new ConsulResponse(status, headers, body, operation);
  }
  const text = body.subarray(0, 65_536).toString('utf8');
  // No server repeats a secret; whatever stands in between might.
  throw errorOf(status, operation, token === undefined ? text : text.replaceAll(token, '<hidden>'));
}
