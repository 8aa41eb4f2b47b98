import type { ConnectionOptions } from 'node:tls';
import { Axios, AxiosError, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { DiscoveryError } from '../../model/index.js';
import { fullUrl } from '../address.js';
import { AxiosTransport } from './axios-transport.js';
import { Exchange } from './exchange.js';
import { Hop, type HopListener } from './hop.js';
import { isUnmeasuredForm, measureForm } from './form-data.js';
import type { Destination, HttpTransport, RawExchange, TransportStats } from './http-transport.js';
import { OriginPool } from './origin-pool.js';
import { followsRedirects } from './redirect.js';
import { toRequestBody } from './request-body.js';
import { needsNodeClient, toWireHeaders } from './request-head.js';
import { checkScheme, parseTarget, type Target } from './target.js';
import { SentRequest } from './sent-request.js';
import { resolveTransportOptions, type ResolvedTransportOptions, type TransportOptions } from './transport.options.js';
import { loadWire, type Wire, type WireClientOptions, type WireRequest } from './undici-port.js';

/** The longest that an unused socket is kept, whatever the server allows. */
const KEEP_ALIVE_MAX_MS = 600_000;

/** What says that a proxy is to be used; on Windows in any case. */
const PROXY_VARIABLES = ['http', 'https', 'all'].flatMap((scheme) => [
  `${scheme}_proxy`,
  `${scheme}_PROXY`.toUpperCase(),
]);

/** Builds the path of calls with `params`, by axios's rules. */
const uriBuilder = new Axios({});

/**
 * Sends axios requests over undici connections, one pool for each origin, made on the first call and gone when its last
 * socket closes. Behaves as axios's Node adapter, with these differences:
 * - `timeout` bounds the whole answer (for `responseType: 'stream'` each pause in it), as axios documents it;
 * - proxies from the environment count only when asked for;
 * - what undici can't do (`httpAgent`, `httpsAgent`, `proxy`, `socketPath`, `lookup`, `family`, `maxRate`,
 *   `insecureHTTPParser`, `transport`, HTTP/2, the headers `Expect`, `Upgrade`, `Transfer-Encoding`; `data:` URLs) goes
 *   through axios's Node adapter, so that it is honoured; so does everything where the runtime has no undici (Bun).
 *
 * A request is written to a socket at most once: nothing is ever sent again by itself.
 */
export class PooledTransport implements HttpTransport {
  private readonly options: ResolvedTransportOptions;
  private readonly pools = new Map<string, OriginPool>();
  /** Those that were released with calls on them. */
  private readonly released = new Set<OriginPool>();
  private wire: Wire | undefined;
  /** This runtime has no undici that calls could go over. */
  private hasNoWire = false;
  private loading: Promise<void> | undefined;
  private clientOptions: WireClientOptions | undefined;
  private fallback: AxiosTransport | undefined;
  private closed = false;

  /** @throws DiscoveryError `INVALID_OPTION` */
  constructor(private readonly given: TransportOptions = {}) {
    this.options = resolveTransportOptions(given);
  }

  /** At each call, as axios looks: the variables may be set later. */
  private get goesByProxy(): boolean {
    return this.options.useEnvironmentProxy && PROXY_VARIABLES.some((name) => process.env[name] !== undefined);
  }

  get tls(): ConnectionOptions {
    return this.options.tls;
  }

  /** What is open now. */
  get stats(): TransportStats {
    let sockets = 0;
    let inFlight = 0;
    for (const pool of [...this.pools.values(), ...this.released]) {
      sockets += pool.socketCount;
      inFlight += pool.requestCount;
    }
    return { origins: this.pools.size, sockets, inFlight };
  }

  /**
   * Sends one request.
   * @throws AxiosError as axios's adapter; DiscoveryError `BACKEND_CLOSED` after `close()`
   */
  send(config: InternalAxiosRequestConfig, destination?: Destination): Promise<AxiosResponse> {
    if (this.closed) {
      return Promise.reject(new DiscoveryError('BACKEND_CLOSED', 'the HTTP transport is closed: the app shuts down'));
    }
    if (this.wire === undefined && !this.hasNoWire) return this.warmUp().then(() => this.send(config, destination));
    try {
      return this.start(config, destination);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  dispatch(origin: string, request: WireRequest, listener: HopListener): RawExchange {
    if (this.hasNoWire) {
      throw new DiscoveryError('UNSUPPORTED', "requests can't be passed on: this runtime has no undici of its own");
    }
    const hop = new Hop(this.poolFor(origin), request, listener);
    hop.start();
    return hop;
  }

  release(origin: string): void {
    const pool = this.pools.get(origin) ?? this.pools.get(canonical(origin));
    if (pool === undefined) return;
    this.pools.delete(pool.origin);
    this.released.add(pool);
    pool.release();
    if (pool.requestCount === 0) this.released.delete(pool);
  }

  async warmUp(): Promise<void> {
    this.loading ??= this.load();
    await this.loading;
  }

  async close(): Promise<void> {
    this.closed = true;
    const pools = [...this.pools.values(), ...this.released];
    this.pools.clear();
    await Promise.all([...pools.map((pool) => pool.destroy()), this.fallback?.close()]);
    this.released.clear();
  }

  private start(config: InternalAxiosRequestConfig, destination: Destination | undefined): Promise<AxiosResponse> {
    if (this.hasNoWire || this.goesByProxy || needsAxios(config)) return this.sendByAxios(config, destination);
    if (destination?.url === undefined) checkScheme(config.url, config);
    const url = destination?.url ?? fullUrl(config.baseURL, config.url, config.allowAbsoluteUrls !== false);
    if (/^data:/i.test(url)) return this.sendByAxios(config, destination);
    const target = parseTarget(url, config);
    if (isUnmeasuredForm(config)) return measureForm(config).then(() => this.exchange(config, target, destination));
    return this.exchange(config, target, destination);
  }

  private exchange(
    config: InternalAxiosRequestConfig,
    target: Target,
    destination: Destination | undefined,
  ): Promise<AxiosResponse> {
    const method = (config.method ?? 'get').toUpperCase();
    const body = toRequestBody(config, followsRedirects(config, destination?.redirects));
    const auth = config.auth === undefined || config.auth === null ? target.auth : credentials(config.auth);
    const headers = toWireHeaders(config, body?.length, auth);
    if (destination?.headers !== undefined) {
      for (const [name, value] of Object.entries(destination.headers)) {
        if (!config.headers.has(name)) headers.push(name, value);
      }
    }
    const { params } = config;
    const path = params === undefined || params === null ? target.path : withParams(target.path, config);
    const plan = { method, target: { origin: target.origin, path, auth }, headers, sendsBody: true };
    const timeoutMs = destination?.timeoutMs ?? timeoutOf(config, method, target);
    return new Promise((resolve, reject) => {
      new Exchange(this.poolFor, config, plan, body, timeoutMs, destination?.redirects, resolve, reject).start();
    });
  }

  private sendByAxios(
    config: InternalAxiosRequestConfig,
    destination: Destination | undefined,
  ): Promise<AxiosResponse> {
    this.fallback ??= new AxiosTransport(this.given);
    return this.fallback.send(config, destination);
  }

  private async load(): Promise<void> {
    const wire = await loadWire();
    if (wire === undefined) {
      this.hasNoWire = true;
      process.emitWarning("this runtime replaces undici by one of its own: HTTP calls go through axios's adapter", {
        type: 'DiscoveryWarning',
        code: 'NO_UNDICI',
      });
      return;
    }
    const { connectTimeoutMs, keepAliveMs, keepAliveMarginMs, tls } = this.options;
    this.clientOptions = {
      connect: wire.buildConnector({ ...tls, timeout: connectTimeoutMs }),
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      keepAliveTimeoutThreshold: keepAliveMarginMs,
    };
    this.wire = wire;
  }

  /** Whether {@link poolFor} may be called: undici is loaded, and there is one. */
  get isWired(): boolean {
    return this.wire !== undefined;
  }

  /**
   * The connections to an origin, for requests that come from undici's own callers.
   * @throws DiscoveryError `BACKEND_CLOSED` after `close()`, or before undici was loaded
   */
  readonly poolFor = (origin: string): OriginPool => {
    let pool = this.pools.get(origin);
    if (pool === undefined) {
      const { wire, clientOptions } = this;
      if (wire === undefined || clientOptions === undefined || this.closed) {
        throw new DiscoveryError('BACKEND_CLOSED', 'the HTTP transport is closed: the app shuts down');
      }
      pool = new OriginPool(wire, origin, clientOptions, this.options.maxConnectionsPerOrigin, this.forget);
      this.pools.set(origin, pool);
    }
    return pool;
  };

  private readonly forget = (pool: OriginPool): void => {
    this.released.delete(pool);
    if (this.pools.get(pool.origin) === pool) this.pools.delete(pool.origin);
  };
}

/** Whether the config asks for what only axios's own adapter can do. */
function needsAxios(config: InternalAxiosRequestConfig): boolean {
  return (
    given(config.httpAgent) ||
    given(config.httpsAgent) ||
    given(config.proxy) ||
    given(config.socketPath) ||
    given(config.lookup) ||
    given(config.family) ||
    given(config.maxRate) ||
    given(config.insecureHTTPParser) ||
    given(config.transport) ||
    given((config as { httpVersion?: unknown }).httpVersion) ||
    needsNodeClient(config.headers)
  );
}

function given(option: unknown): boolean {
  return option !== undefined && option !== null && option !== false;
}

function credentials(auth: { readonly username?: string; readonly password?: string }): string {
  return `${auth.username ?? ''}:${auth.password ?? ''}`;
}

/** @throws AxiosError `ERR_BAD_OPTION_VALUE` when the time-out isn't a number */
function timeoutOf(config: InternalAxiosRequestConfig, method: string, { origin, path }: Target): number {
  const { timeout } = config as { readonly timeout?: unknown };
  if (timeout === undefined || timeout === null || timeout === 0) return 0;
  const ms = typeof timeout === 'number' ? timeout : parseInt(timeout as string, 10);
  if (!Number.isNaN(ms)) return ms;
  throw new AxiosError(
    'error trying to parse `config.timeout` to int',
    AxiosError.ERR_BAD_OPTION_VALUE,
    config,
    new SentRequest(method, origin, path),
  );
}

/** @throws AxiosError `ERR_BAD_REQUEST` when the params can't be written */
function withParams(path: string, config: InternalAxiosRequestConfig): string {
  const { params, paramsSerializer, url } = config;
  let built: string;
  try {
    built = uriBuilder.getUri({ url: path, params, ...(paramsSerializer && { paramsSerializer }) });
  } catch (error) {
    throw Object.assign(AxiosError.from(error as Error, AxiosError.ERR_BAD_REQUEST, config), { url, exists: true });
  }
  // A serializer may write anything; what Node's client says of it.
  if (/[^\x21-\xff]/.test(built)) {
    throw Object.assign(new TypeError('Request path contains unescaped characters'), {
      code: 'ERR_UNESCAPED_CHARACTERS',
    });
  }
  return built.startsWith('/') ? built : `/${built}`;
}

function canonical(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}
