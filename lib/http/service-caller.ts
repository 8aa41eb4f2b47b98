import { AxiosError, type AxiosAdapter, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { until, type AddressResolver, type CallAuthorizer, type Clock, type View } from '../backend/index.js';
import { FIRST_TRY, type Balancer, type Balancers, type PickContext, type Route } from '../balancing/index.js';
import { isNobodyToCall, noSnapshot, type ServiceView, type ServiceViews, type ViewLease } from '../discovery/index.js';
import { codeOf, describe, NoInstanceError, type ServiceInstance, type Snapshot } from '../model/index.js';
import { assertWithin, fullUrl, parseAddress, type CallAddress } from './address.js';
import { pickFirst, tryEach, type Callee, type CallManner } from './attempts.js';
import { carryOut, type CarriedAttempt, type CarriedCall } from './carried-call.js';
import { fallbackResponse, routeSettings, type RequestBalancing, type ResolvedCallOptions } from './call-options.js';
import { isRepeatable, isRepeatableBody, isReplayable } from './failover.js';
import { tryHedged } from './hedging.js';
import type { IncomingHeaders } from './incoming-headers.js';
import { RetryBudget } from './retry-budget.js';
import { isStream, StreamSource, type HttpTransport } from './transport/index.js';

/** What a {@link ServiceCaller} needs of its app. */
export interface ServiceCallerOptions {
  readonly views: ServiceViews;
  readonly balancers: Balancers;
  readonly resolvers: readonly AddressResolver[];
  readonly authorizers: readonly CallAuthorizer[];
  readonly firstSnapshotTimeoutMs: number;
  readonly clock: Clock;
  /** The request that is being handled, for calls that carry on some of its headers. */
  readonly incoming?: IncomingHeaders;
  /** The options of a service's calls, or of those to no service, defaults included. */
  readonly optionsFor: (service?: string) => ResolvedCallOptions;
}

/** What an instance of the service looks like from here: see `ServiceHttpClient.instanceStats`. */
export interface InstanceStats {
  readonly service: string;
  /** `http://10.0.0.5:8080` */
  readonly url: string;
  /** Calls under way. */
  readonly pending: number;
  /** Moving average of the response time, in milliseconds. */
  readonly latencyMs: number;
  /** Moving average of the share of calls that did not fail, from 0 to 1. */
  readonly health: number;
  /** Whether it is left out for now, for its failures. */
  readonly ejected: boolean;
}

/** The service of a bound client, and the options of its calls. */
interface BoundService {
  readonly service: string;
  readonly options: ResolvedCallOptions;
}

/** A call under way. */
interface ServiceCall {
  readonly address: CallAddress;
  readonly config: InternalAxiosRequestConfig;
  readonly options: ResolvedCallOptions;
  /** When its time is up. */
  readonly deadline: number;
}

/**
 * The axios adapter that turns the name of a service into a call to one of its instances, and to another one when that
 * is safe. Addresses that name no service go through untouched.
 */
export class ServiceCaller {
  private readonly callees = new WeakMap<View<Snapshot>, ServiceCallee>();
  private readonly held = new Map<string, ViewLease>();
  private plainOptions: ResolvedCallOptions | undefined;
  private readonly now = (): number => this.options.clock.now();

  constructor(
    private readonly options: ServiceCallerOptions,
    private readonly transport: HttpTransport,
    /** The one service whose watch stays open from the first call on, and the options of its calls. */
    private readonly bound?: BoundService,
  ) {}

  /** Opens the watch of a service before its first call, and loads what its first call needs. */
  warmUp(service: string): void {
    // Should it fail, so does the call that needs it.
    this.transport.warmUp().catch(() => {});
    this.hold(service);
  }

  private hold(service: string): void {
    if (!this.held.has(service)) this.held.set(service, this.options.views.acquire(service));
  }

  /** For axios's `adapter` option: calls what the client may call. */
  readonly adapter: AxiosAdapter = (config) => this.call(config, this.bound);

  /** For axios instances of others, which may call anything. */
  readonly openAdapter: AxiosAdapter = (config) => this.call(config);

  /**
   * Calls `walker` with one endpoint after the other until its call succeeds, and gives its result.
   * @throws what its call failed by last, with `attempts`; what else it threw, as it is; NoInstanceError, NoSnapshotError
   */
  walk<T>(service: string, walker: (url: string, instance: ServiceInstance) => Promise<T> | T): Promise<T> {
    return this.options.views.with(service, async (view) => {
      await this.whenKnown(view);
      const { balancer, budget, options, anyRoute } = this.calleeFor(view, service);
      const callee: Callee = { balancer, budget, options, route: anyRoute, schemes: undefined, time: this.now };
      const manner: CallManner = {
        method: undefined,
        isReplayable: () => true,
        everyFailure: true,
        deadline: Infinity,
        context: FIRST_TRY,
        now: this.now,
      };
      return tryEach(callee, manner, pickFirst(callee), async (instance) => walker(instance.url, instance));
    });
  }

  /**
   * Has `attempt` make a call by HTTP, of one instance after the other for as long as trying again is safe, allowed and in
   * time: for requests that are passed on. What it throws is judged as an HTTP client's error is.
   *
   * @throws the last try's error, with `attempts`; NoInstanceError, NoSnapshotError
   */
  async carry<T>(service: string, call: CarriedCall, attempt: CarriedAttempt<T>): Promise<T> {
    const watched = this.options.views.watchedView(service);
    if (watched !== undefined && watched.current.state !== 'unknown') {
      return carryOut(this.calleeFor(watched, service), call, this.now, attempt);
    }
    return this.options.views.with(service, async (view) => {
      await this.whenKnown(view);
      return carryOut(this.calleeFor(view, service), call, this.now, attempt);
    });
  }

  /** What this app has seen of the instances of a service, or of all, as long as it watches it; none before the first call. */
  instanceStats(service?: string): readonly InstanceStats[] {
    const { views, balancers } = this.options;
    return (service === undefined ? views.watched : [service]).flatMap((name) => {
      const view = views.peek(name);
      const route = view && balancers.peek(view)?.route(routeSettings(this.optionsOf(name)));
      if (route === undefined) return [];
      return route.candidates.map((endpoint) => {
        const { instance, pending, latencyMs, health } = endpoint;
        return { service: name, url: instance.url, pending, latencyMs, health, ejected: route.isEjected(endpoint) };
      });
    });
  }

  private call(config: InternalAxiosRequestConfig, bound?: BoundService): Promise<AxiosResponse> {
    const url = fullUrl(config.baseURL, config.url, config.allowAbsoluteUrls !== false);
    const address = parseAddress(url);
    if (bound !== undefined) assertWithin(bound.service, url, address, config.url, bound.options.allowAbsoluteUrls);
    if (address?.isService === true) return this.callService(address, config);
    const resolver = address && this.options.resolvers.find((candidate) => candidate.handles(address.host));
    if (address !== undefined && resolver !== undefined) {
      return this.callResolved(address, config, resolver, url.slice(0, url.indexOf(':')).toLowerCase());
    }
    if (address === undefined && !/^[a-z][a-z\d+.-]*:/i.test(url)) throw relative(url, config);
    return this.callPlain(config);
  }

  /** An address that is nothing of ours: where it says, but for no longer than a service's. */
  private callPlain(config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    const options = this.bound?.options ?? (this.plainOptions ??= this.options.optionsFor());
    const timeoutMs = this.timeLeft({ config, options, deadline: this.deadlineOf(options) });
    return this.transport.send(config, timeoutMs === undefined ? {} : { timeoutMs });
  }

  private deadlineOf({ totalTimeoutMs }: ResolvedCallOptions): number {
    return totalTimeoutMs === 0 ? Infinity : this.now() + totalTimeoutMs;
  }

  private callService(address: CallAddress, config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    const { host } = address;
    if (host === this.bound?.service) this.hold(host);
    const held = this.held.get(host);
    if (held !== undefined) return this.callWatched(address, config, held.view);
    // Held for the time of the call only: the names come from outside, and an unused watch closes by itself.
    return this.options.views.with(host, (view) => this.callWatched(address, config, view));
  }

  private async callWatched(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    view: ServiceView,
  ): Promise<AxiosResponse> {
    if (view.current.state === 'unknown') await this.whenKnown(view);
    return this.callInstances(address, config, this.calleeFor(view, address.host)).catch(async (error: unknown) => {
      throw error instanceof NoInstanceError ? await this.options.views.explained(error) : error;
    });
  }

  /** Calls what an address resolver makes of a host. */
  private async callResolved(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    resolver: AddressResolver,
    scheme: string,
  ): Promise<AxiosResponse> {
    const view = resolver.resolve(address.host, scheme);
    const { clock, firstSnapshotTimeoutMs } = this.options;
    if (view.current.state === 'unknown')
      await until(view, ({ state }) => state !== 'unknown', { clock, timeoutMs: firstSnapshotTimeoutMs });
    try {
      return await this.callInstances(address, config, this.calleeFor(view, address.host));
    } catch (error) {
      const nobody = isNobodyToCall(error) || UNRESOLVED.has(codeOf(error) ?? '');
      throw (nobody ? resolver.notFound?.(address.host) : undefined) ?? error;
    }
  }

  private async whenKnown(view: ServiceView): Promise<void> {
    const { firstSnapshotTimeoutMs } = this.options;
    const snapshot = await view.settled(firstSnapshotTimeoutMs);
    if (snapshot.state === 'unknown') throw noSnapshot(snapshot, firstSnapshotTimeoutMs);
  }

  private callInstances(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    callee: Callee,
  ): Promise<AxiosResponse> {
    const { fallback } = callee.options;
    if (fallback === undefined) return this.tryInstances(address, config, callee);
    return this.tryInstances(address, config, callee).catch(async (error: unknown) =>
      fallbackResponse(await fallback(error, config), config),
    );
  }

  private async tryInstances(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    callee: Callee,
  ): Promise<AxiosResponse> {
    const { options } = callee;
    const { hedging, retry } = options;
    const deadline = this.deadlineOf(options);
    const call: ServiceCall = { address, config, options, deadline };
    const data: unknown = config.data;
    const manner: CallManner = {
      method: config.method,
      isReplayable: (wasUnsent) => isReplayable(data, wasUnsent),
      isCallersFault: isStream(data) ? () => StreamSource.of(data).failure !== undefined : undefined,
      everyFailure: false,
      deadline,
      context: contextOf(config, options),
      now: this.now,
      signal: config.signal,
    };
    // What is read of a stream later must stay in the caller's hand, which a hedge's own signal takes away.
    const mayHedge = isRepeatableBody(data) && config.responseType !== 'stream' && isRepeatable(config.method, retry);
    if (hedging === undefined || !mayHedge) {
      return tryEach(callee, manner, pickFirst(callee, manner.context), (instance) => this.send(call, instance));
    }
    const response = await tryHedged(
      callee,
      manner,
      hedging,
      (instance, signal) => this.send({ ...call, config: { ...config, signal } }, instance),
      config.signal,
    );
    response.config = config;
    return response;
  }

  private send(call: ServiceCall, instance: ServiceInstance): Promise<AxiosResponse> {
    const { address, config, options } = call;
    const { url, metadata } = instance;
    const timeoutMs = this.timeLeft(call);
    const target = url + basePath(metadata[options.basePathMetadata]) + address.path;
    const { authorizers } = this.options;
    const { redirects } = options;
    if (authorizers.length === 0 && options.forwardHeaders.length === 0 && options.deadlineHeader === undefined) {
      return this.transport.send(
        config,
        timeoutMs === undefined ? { url: target, redirects } : { url: target, redirects, timeoutMs },
      );
    }
    return this.headersFor(call, instance, timeoutMs ?? 0).then((headers) =>
      this.transport.send(config, {
        url: target,
        redirects,
        headers,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    );
  }

  /**
   * How long a try may take; 0: for ever, undefined: what the config says.
   * @throws AxiosError when there is no time left
   */
  private timeLeft({ config, options, deadline }: Omit<ServiceCall, 'address'>): number | undefined {
    // An axios config may hold anything: what isn't a number is the transport's to read, or to refuse.
    if (config.timeout !== undefined && typeof config.timeout !== 'number') return undefined;
    const own = config.timeout === undefined || config.timeout === 0 ? options.timeoutMs : config.timeout;
    if (deadline === Infinity) return own;
    const left = Math.ceil(deadline - this.now());
    if (left <= 0) throw new AxiosError(`timeout of ${options.totalTimeoutMs}ms exceeded`, 'ECONNABORTED', config);
    return own === 0 ? left : Math.min(own, left);
  }

  /** The headers that a call gets besides its own, which win over all of them. */
  private async headersFor(
    { options }: ServiceCall,
    instance: ServiceInstance,
    timeoutMs: number,
  ): Promise<Readonly<Record<string, string>>> {
    const headers: Record<string, string> = {};
    for (const authorizer of this.options.authorizers) Object.assign(headers, await authorizer.headers(instance));
    Object.assign(headers, this.options.incoming?.pick(options.forwardHeaders));
    if (options.deadlineHeader !== undefined && timeoutMs > 0) headers[options.deadlineHeader] = String(timeoutMs);
    return headers;
  }

  /** Whom calls go to that an HTTP client makes. */
  private calleeFor(view: View<Snapshot>, service: string): ServiceCallee {
    let callee = this.callees.get(view);
    if (callee === undefined)
      this.callees.set(
        view,
        (callee = new ServiceCallee(this.options.balancers.of(view), this.optionsOf(service), this.now)),
      );
    return callee;
  }

  private optionsOf(service: string): ResolvedCallOptions {
    return service === this.bound?.service ? this.bound.options : this.options.optionsFor(service);
  }
}

/** What an HTTP client speaks. */
const HTTP_SCHEMES: readonly string[] = Object.freeze(['http', 'https']);

/** A service that is called by HTTP: only instances that speak it are picked. */
class ServiceCallee implements Callee {
  readonly budget: RetryBudget;
  readonly schemes = HTTP_SCHEMES;
  /** The route of all who pick an instance of the service, whatever they speak. */
  readonly anyRoute: Route;
  private httpRoute: Route | undefined;

  constructor(
    readonly balancer: Balancer,
    readonly options: ResolvedCallOptions,
    readonly time: () => number,
  ) {
    const { retry } = options;
    this.budget = new RetryBudget(retry.budgetShare, retry.budgetPerSecond, time);
    this.anyRoute = balancer.route(routeSettings(options));
  }

  /** As a rule all instances speak HTTP, and calls are picked by the route of all others. */
  get route(): Route {
    if (!this.balancer.hasOthersThan(HTTP_SCHEMES)) return this.anyRoute;
    this.httpRoute ??= this.balancer.route({ ...routeSettings(this.options), schemes: HTTP_SCHEMES });
    return this.httpRoute;
  }
}

function relative(url: string, config: InternalAxiosRequestConfig): AxiosError {
  return new AxiosError(
    `Invalid URL: ${describe(url.replace(/[?#].*$/s, ''))} names no service. Say which: lb://SERVICE/path, or inject the ` +
      "service's own client by @DiscoverableClient('SERVICE')",
    'ERR_INVALID_URL',
    config,
  );
}

/** The instance's own host name means nothing here. */
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN']);

/** `/api` for `api/`, nothing for nothing. */
function basePath(path: string | undefined): string {
  if (path === undefined || path === '' || path === '/') return '';
  return `/${path.replace(/^\/+|\/+$/g, '')}`;
}

/** What the pick goes by: the call's own word, or that of a header. */
function contextOf(config: InternalAxiosRequestConfig, options: ResolvedCallOptions): PickContext {
  const { loadBalancing } = config as { readonly loadBalancing?: RequestBalancing };
  const { hintHeader, keyHeader } = options;
  if (loadBalancing === undefined && hintHeader === undefined && keyHeader === undefined) return FIRST_TRY;
  const hint = loadBalancing?.hint ?? headerOf(config, hintHeader);
  const key = loadBalancing?.key ?? headerOf(config, keyHeader);
  return { ...(hint === undefined ? {} : { hint }), ...(key === undefined ? {} : { key }) };
}

function headerOf({ headers }: InternalAxiosRequestConfig, name: string | undefined): string | undefined {
  const value = name === undefined ? undefined : headers.get(name);
  return typeof value === 'string' ? value : undefined;
}
