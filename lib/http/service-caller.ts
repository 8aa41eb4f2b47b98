import {
  AxiosError,
  AxiosHeaders,
  type AxiosAdapter,
  type AxiosResponse,
  type InternalAxiosRequestConfig,
} from 'axios';
import { createLoadBalancer, FIRST_TRY, type Endpoint } from '../balancing/index.js';
import {
  isNobodyToCall,
  noInstance,
  noSnapshot,
  ServiceBalancer,
  type ServiceView,
  type ServiceViews,
  type ViewLease,
} from '../discovery/index.js';
import { codeOf, messageOf, type Attempt, type Snapshot } from '../model/index.js';
import type { AddressResolver, CallAuthorizer, View } from '../backend/index.js';
import { fullUrl, parseAddress, type CallAddress } from './address.js';
import { fallbackResponse, type ResolvedCallOptions } from './call-options.js';
import type { Connections } from './connections.js';
import { isReplayable, judge, outcomeOf, retryAfterMs } from './failover.js';
import { RetryBudget } from './retry-budget.js';

/** What a {@link ServiceCaller} needs of its app. */
export interface ServiceCallerOptions {
  readonly views: ServiceViews;
  readonly resolvers: readonly AddressResolver[];
  readonly authorizers: readonly CallAuthorizer[];
  readonly firstSnapshotTimeoutMs: number;
  /** Spreads subsets. */
  readonly clientId: string;
  /** Milliseconds, of any origin. */
  readonly now: () => number;
  /** The options of a service's calls, defaults included. */
  readonly optionsFor: (service: string) => ResolvedCallOptions;
}

/** A service that is called: who to pick, and what retries it may get. */
interface Target {
  readonly balancer: ServiceBalancer;
  readonly budget: RetryBudget;
  readonly options: ResolvedCallOptions;
}

/** A call under way. */
interface Call {
  readonly address: CallAddress;
  readonly config: InternalAxiosRequestConfig;
  readonly target: Target;
  /** When its time is up. */
  readonly deadline: number;
}

/**
 * The axios adapter that turns the name of a service into a call to one of its instances, and to another one when that
 * is safe. Addresses that name no service go through untouched.
 */
export class ServiceCaller {
  private readonly targets = new WeakMap<View<Snapshot>, Target>();
  private readonly held = new Map<string, ViewLease>();

  constructor(
    private readonly options: ServiceCallerOptions,
    private readonly connections: Connections,
    /** The one service whose watch stays open from the first call on, and the options of its calls. */
    private readonly bound?: { readonly service: string; readonly options: ResolvedCallOptions },
  ) {}

  /** Opens the watch of a service before its first call. */
  warmUp(service: string): void {
    if (!this.held.has(service)) this.held.set(service, this.options.views.acquire(service));
  }

  /** For axios's `adapter` option. */
  readonly adapter: AxiosAdapter = (config) => this.call(config);

  /**
   * Calls `walker` with one endpoint after the other until it succeeds, and gives its result.
   * @throws whatever the walker threw last, with `attempts`; NoInstanceError, NoSnapshotError
   */
  walk<T>(service: string, walker: (url: string, endpoint: Endpoint) => Promise<T> | T): Promise<T> {
    return this.options.views.with(service, async (view) => {
      await this.whenKnown(view);
      const target = this.targetFor(view, service);
      return this.tryEach(
        target,
        { replayable: true, method: 'get', everyFailure: true, deadline: Infinity },
        (endpoint) => Promise.resolve(walker(endpoint.instance.url, endpoint)),
      );
    });
  }

  private call(config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    const url = fullUrl(config.baseURL, config.url, config.allowAbsoluteUrls !== false);
    const address = parseAddress(url);
    if (address?.isService === true) return this.callService(address, config);
    const resolver = address && this.options.resolvers.find((candidate) => candidate.handles(address.host));
    if (address !== undefined && resolver !== undefined) {
      return this.callResolved(address, config, resolver, url.slice(0, url.indexOf(':')).toLowerCase());
    }
    return this.connections.transport(config);
  }

  private callService(address: CallAddress, config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    const { host } = address;
    if (host === this.bound?.service) this.warmUp(host);
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
    return this.callInstances(address, config, this.targetFor(view, address.host));
  }

  /** Calls what an address resolver makes of a host. */
  private async callResolved(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    resolver: AddressResolver,
    scheme: string,
  ): Promise<AxiosResponse> {
    const view = resolver.resolve(address.host, scheme);
    if (view.current.state === 'unknown') await firstKnown(view, this.options.firstSnapshotTimeoutMs);
    try {
      return await this.callInstances(address, config, this.targetFor(view, address.host));
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

  private async callInstances(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    target: Target,
  ): Promise<AxiosResponse> {
    const { totalTimeoutMs, fallback } = target.options;
    const deadline = totalTimeoutMs === 0 ? Infinity : this.options.now() + totalTimeoutMs;
    const call: Call = { address, config, target, deadline };
    const manner = { replayable: isReplayable(config.data), method: config.method, everyFailure: false, deadline };
    if (fallback === undefined)
      return this.tryEach(target, manner, (endpoint) => this.send(call, endpoint), config.signal);
    try {
      return await this.tryEach(target, manner, (endpoint) => this.send(call, endpoint), config.signal);
    } catch (error) {
      return fallbackResponse(await fallback(error, config), config);
    }
  }

  private async tryEach<T>(
    target: Target,
    manner: { replayable: boolean; method: string | undefined; everyFailure: boolean; deadline: number },
    attempt: (endpoint: Endpoint) => Promise<T>,
    signal?: { readonly aborted?: boolean },
  ): Promise<T> {
    const { balancer, budget, options } = target;
    const first = balancer.pick(FIRST_TRY);
    if (first === undefined) throw noInstance(balancer.view.current);
    budget.deposit();
    let attempts: Attempt[] | undefined;
    let tried: Set<string> | undefined;
    for (let endpoint = first; ;) {
      const startedAt = balancer.begin(endpoint);
      try {
        const result = await attempt(endpoint);
        balancer.end(endpoint, startedAt, resultOutcome(result));
        return result;
      } catch (error) {
        const verdict = judge(error, manner.method, options.retry);
        balancer.end(endpoint, startedAt, verdict.outcome);
        if (verdict.outcome === 'gateway-failure') balancer.pushBack(endpoint, retryAfterMs(error));
        attempts ??= [];
        attempts.push(toAttempt(endpoint, error));
        tried ??= new Set();
        tried.add(endpoint.instance.url);
        const elsewhere = manner.everyFailure ? 'always' : verdict.elsewhere;
        const allowed =
          manner.replayable &&
          signal?.aborted !== true &&
          elsewhere !== 'never' &&
          (manner.everyFailure || options.maxAttempts === 'all' || attempts.length < options.maxAttempts) &&
          this.options.now() < manner.deadline;
        // Picked from the newest list, which may have changed while the call failed.
        const next = allowed ? balancer.pick({ tried }) : undefined;
        if (next === undefined || tried.has(next.instance.url)) throw withAttempts(error, attempts);
        if (elsewhere === 'within-budget' && !budget.withdraw()) throw withAttempts(error, attempts);
        discard(error);
        endpoint = next;
      }
    }
  }

  private async send(call: Call, endpoint: Endpoint): Promise<AxiosResponse> {
    const { address, config, target, deadline } = call;
    const { options } = target;
    const { instance } = endpoint;
    // A copy for each try: the transport changes the headers that it is given.
    const headers = new AxiosHeaders(config.headers);
    for (const authorizer of this.options.authorizers) {
      for (const [name, value] of Object.entries(await authorizer.headers(instance))) headers.set(name, value, false);
    }
    let timeout = config.timeout === undefined || config.timeout === 0 ? options.timeoutMs : config.timeout;
    if (deadline !== Infinity) {
      const left = Math.ceil(deadline - this.options.now());
      if (left <= 0) throw new AxiosError(`timeout of ${options.totalTimeoutMs}ms exceeded`, 'ECONNABORTED', config);
      timeout = timeout === 0 ? left : Math.min(timeout, left);
    }
    if (options.deadlineHeader !== undefined && timeout > 0)
      headers.set(options.deadlineHeader, String(timeout), false);
    const { baseURL: _, ...rest } = config;
    return this.connections.transport({
      ...rest,
      headers,
      url: instance.url + basePath(instance.metadata[options.basePathMetadata]) + address.path,
      timeout,
      httpAgent: config.httpAgent ?? this.connections.httpAgent,
      httpsAgent: config.httpsAgent ?? this.connections.httpsAgent,
      proxy: config.proxy ?? false,
    });
  }

  private targetFor(view: View<Snapshot>, service: string): Target {
    let target = this.targets.get(view);
    if (target === undefined) {
      const { now, clientId, optionsFor } = this.options;
      const options = service === this.bound?.service ? this.bound.options : optionsFor(service);
      const { balancing, routing, ejection, retry } = options;
      target = {
        options,
        balancer: new ServiceBalancer(view, {
          loadBalancer: createLoadBalancer(balancing),
          now,
          random: Math.random,
          clientId,
          routing,
          ejection,
        }),
        budget: new RetryBudget(retry.budgetShare, retry.budgetPerSecond, now),
      };
      this.targets.set(view, target);
    }
    return target;
  }
}

/** The instance's own host name means nothing here. */
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN']);

/** Waits until a view is known, or for so long. */
function firstKnown(view: View<Snapshot>, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    const timer = setTimeout(end, timeoutMs);
    const unsubscribe = view.subscribe((snapshot) => {
      if (snapshot.state !== 'unknown') end();
    });
  });
}

/** `/api` for `api/`, nothing for nothing. */
function basePath(path: string | undefined): string {
  if (path === undefined || path === '' || path === '/') return '';
  return `/${path.replace(/^\/+|\/+$/g, '')}`;
}

/** With `validateStatus` off a failure comes as a result. */
function resultOutcome(result: unknown): ReturnType<typeof outcomeOf> {
  const status = typeof result === 'object' && result !== null && 'status' in result ? result.status : undefined;
  return typeof status === 'number' ? outcomeOf(status) : 'success';
}

function toAttempt({ instance }: Endpoint, error: unknown): Attempt {
  const code = codeOf(error);
  return { target: instance.url, reason: messageOf(error), ...(code === undefined ? {} : { code }) };
}

/** Adds what was tried to the last try's error, which stays the error that axios users know. */
function withAttempts(error: unknown, attempts: readonly Attempt[]): unknown {
  if (error instanceof Error) Object.defineProperty(error, 'attempts', { value: attempts, configurable: true });
  return error;
}

/** Lets go of the body of an answer that nobody will read. */
function discard(error: unknown): void {
  const data: unknown = (error as { readonly response?: { readonly data?: unknown } } | undefined)?.response?.data;
  if (typeof data === 'object' && data !== null && 'destroy' in data && typeof data.destroy === 'function')
    data.destroy();
}
