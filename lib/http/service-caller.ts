import {
  AxiosError,
  CanceledError,
  type AxiosAdapter,
  type AxiosResponse,
  type InternalAxiosRequestConfig,
} from 'axios';
import type { AddressResolver, CallAuthorizer } from '../backend/index.js';
import { FIRST_TRY } from '../balancing/index.js';
import { isNobodyToCall, resultOfError, type ServiceView } from '../discovery/index.js';
import { codeOf, NoInstanceError, type ServiceInstance } from '../model/index.js';
import type { CallFollower, CallTelemetry } from '../observability/index.js';
import { assertWithin, basePath, fullUrl, parseAddress, relative, schemeOf, type CallAddress } from './address.js';
import { pickFirst, tryEach, type Callee, type CallManner } from './attempts.js';
import {
  fallbackResponse,
  routeSettings,
  type ResolvedCallOptions,
  type ServiceRequestConfig,
} from './call-options.js';
import { isRepeatable, isRepeatableBody, isReplayable } from './failover.js';
import { DispatchTargets, fetchOf, type LastingCalls, type ServiceFetchFunction } from './dispatch/index.js';
import { tryHedged } from './hedging.js';
import { NO_SIGNS, type CallRouting } from './call-routing.js';
import { CallHeaders } from './call-headers.js';
import { beginCall, followed, resolvedName, resultOfAnswer } from './call-result.js';
import { signsOf } from './call-signs.js';
import { carryOut, type CarriedAttempt, type CarriedCall } from './carried-call.js';
import type { InstanceStats } from './instance-stats.js';
import { Callees, type BoundService, type CalleesOptions, type ServiceCallee } from './callees.js';
import { platformSignal } from './call-policy.js';
import type { IncomingHeaders } from './incoming-headers.js';
import { endOfStream } from './stream-end.js';
import { isStream, StreamSource, type HttpTransport, type PooledTransport } from './transport/index.js';

/** What a {@link ServiceCaller} needs of its app. */
export interface ServiceCallerOptions extends CalleesOptions {
  /** The connections of calls that come from undici's callers. */
  readonly pools: PooledTransport;
  /** What of those may last. */
  readonly lasting: LastingCalls;
  readonly resolvers: readonly AddressResolver[];
  readonly authorizers: readonly CallAuthorizer[];
  /** Hears of the calls. */
  readonly calls: CallTelemetry;
  /** The request that is being handled, for calls that carry on some of its headers. */
  readonly incoming?: IncomingHeaders;
  /** What a call goes by. */
  readonly routing: CallRouting;
}

/** A call under way. */
interface ServiceCall {
  readonly address: CallAddress;
  readonly config: InternalAxiosRequestConfig;
  readonly options: ResolvedCallOptions;
  /** When its time is up. */
  readonly deadline: number;
  /** The headers by which it carries its lane on. */
  readonly carried: Readonly<Record<string, string>> | undefined;
}

/**
 * The axios adapter that turns the name of a service into a call to one of its instances, and to another one when that
 * is safe. Addresses that name no service go through untouched.
 */
export class ServiceCaller {
  private plainOptions: ResolvedCallOptions | undefined;
  private readonly now = (): number => this.options.clock.now();
  private readonly callees: Callees;
  private readonly headers: CallHeaders;
  private readonly targets: DispatchTargets;

  constructor(
    private readonly options: ServiceCallerOptions,
    private readonly transport: HttpTransport,
    /** The one service whose watch stays open from the first call on, and the options of its calls. */
    private readonly bound?: BoundService,
  ) {
    const { authorizers, incoming, routing, resolvers, views, pools, lasting, calls } = options;
    this.callees = new Callees(options, this.now, bound);
    this.headers = new CallHeaders(authorizers, incoming);
    this.targets = new DispatchTargets({
      callees: this.callees,
      resolvers,
      headers: this.headers,
      routing,
      views,
      pools,
      lasting,
      calls,
      bound,
    });
    this.fetch = fetchOf(this.targets, (service) => this.callees.optionsOf(service));
  }

  /** For undici's callers, and for `fetch`: calls what the client may call. */
  get dispatching(): DispatchTargets {
    return this.targets;
  }

  /** Node's `fetch`, to what the client may call. */
  readonly fetch: ServiceFetchFunction;

  /** Opens the watch of a service before its first call, and loads what its first call needs. */
  warmUp(service: string): void {
    // Should it fail, so does the call that needs it.
    this.transport.warmUp().catch(() => {});
    this.callees.hold(service);
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
    const observed = this.options.calls.begin?.({ protocol: 'custom', service });
    const walked = this.options.views.with(service, async (view) => {
      await this.callees.whenKnown(view);
      const { balancer, budget, options, anyRoute } = this.callees.of(view, service);
      const callee: Callee = { balancer, budget, options, route: anyRoute, schemes: undefined, time: this.now };
      const manner: CallManner = {
        method: undefined,
        isReplayable: () => true,
        everyFailure: true,
        deadline: Infinity,
        context: this.options.routing.contextOf(service, options, NO_SIGNS),
        now: this.now,
        observed,
      };
      return tryEach(callee, manner, pickFirst(callee, manner.context), async (instance) =>
        walker(instance.url, instance),
      );
    });
    return observed === undefined ? walked : followed(observed, walked);
  }

  /**
   * Has `attempt` make a call by HTTP, of one instance after the other for as long as trying again is safe, allowed and in
   * time: for requests that are passed on. What it throws is judged as an HTTP client's error is.
   *
   * @throws the last try's error, with `attempts`; NoInstanceError, NoSnapshotError
   */
  carry<T>(service: string, call: CarriedCall, attempt: CarriedAttempt<T>): Promise<T> {
    const { callees, now, options } = this;
    const observed = options.calls.begin?.({ protocol: 'http', service, method: call.method?.toUpperCase() });
    const go = (callee: Callee): Promise<T> => carryOut(callee, call, options.routing, now, attempt, observed);
    const known = observed === undefined ? callees.known(service) : undefined;
    if (known !== undefined) return go(known);
    const carried = callees.with(service, async (view) => {
      await callees.whenKnown(view);
      return go(callees.of(view, service));
    });
    return observed === undefined ? carried : followed(observed, carried);
  }

  /** What this app has seen of the instances of a service, or of all, as long as it watches it; none before the first call. */
  instanceStats(service?: string): readonly InstanceStats[] {
    const { views, balancers } = this.options;
    return (service === undefined ? views.watched : [service]).flatMap((name) => {
      const view = views.peek(name);
      const route = view && balancers.peek(view)?.route(routeSettings(this.callees.optionsOf(name)));
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
    // It may fail while the instances are still looked up.
    if (isStream(config.data)) StreamSource.of(config.data);
    if (bound !== undefined) assertWithin(bound.service, url, address, config.url, bound.options.allowAbsoluteUrls);
    if (address?.isService === true) return this.callService(address, config);
    const resolver = address && this.targets.resolverOf(address.host);
    if (address !== undefined && resolver !== undefined) {
      return this.callResolved(address, config, resolver, schemeOf(url));
    }
    if (address === undefined && !/^[a-z][a-z\d+.-]*:/i.test(url)) throw relative(url, config);
    return this.callPlain(config);
  }

  /** An address that is nothing of ours: where it says, but for no longer than a service's. */
  private callPlain(config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    const options = this.bound?.options ?? (this.plainOptions ??= this.options.optionsFor());
    const timeoutMs = this.timeLeft(config, options, this.deadlineOf(options));
    return this.transport.send(config, timeoutMs === undefined ? {} : { timeoutMs });
  }

  private deadlineOf({ totalTimeoutMs }: ResolvedCallOptions): number {
    return totalTimeoutMs === 0 ? Infinity : this.now() + totalTimeoutMs;
  }

  private callService(address: CallAddress, config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    return this.callees.with(address.host, (view) => this.callWatched(address, config, view));
  }

  private async callWatched(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    view: ServiceView,
  ): Promise<AxiosResponse> {
    const observed = beginCall(this.options.calls, address.host, config);
    try {
      if (view.current.state === 'unknown') await this.callees.whenKnown(view);
      const response = await this.callInstances(address, config, this.callees.of(view, address.host), observed);
      observed?.end(resultOfAnswer(response));
      return response;
    } catch (error) {
      observed?.end(resultOfError(error));
      throw error instanceof NoInstanceError ? await this.options.views.explained(error) : error;
    }
  }

  /** Calls what an address resolver makes of a host. */
  private async callResolved(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    resolver: AddressResolver,
    scheme: string,
  ): Promise<AxiosResponse> {
    const { host } = address;
    const observed = beginCall(this.options.calls, resolvedName(host), config);
    try {
      const callee = await this.callees.resolved(resolver, host, scheme);
      const response = await this.callInstances(address, config, callee, observed);
      observed?.end(resultOfAnswer(response));
      return response;
    } catch (error) {
      observed?.end(resultOfError(error));
      const nobody = isNobodyToCall(error) || UNRESOLVED.has(codeOf(error) ?? '');
      throw (nobody ? resolver.notFound?.(host) : undefined) ?? error;
    }
  }

  /** Throws, or rejects, when the call fails. */
  private callInstances(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    callee: ServiceCallee,
    observed: CallFollower | undefined,
  ): Promise<AxiosResponse> {
    const { fallback } = callee.options;
    // No promise more than it takes: each costs every call, and more where contexts are kept across them.
    if (fallback === undefined && callee.isFree) return this.tryInstances(address, config, callee, observed);
    const call = (): Promise<AxiosResponse> =>
      callee.isFree
        ? this.tryInstances(address, config, callee, observed)
        : this.guarded(address, config, callee, observed);
    return fallback === undefined ? call() : this.orElse(fallback, call, config, observed);
  }

  private async orElse(
    fallback: NonNullable<ResolvedCallOptions['fallback']>,
    call: () => Promise<AxiosResponse>,
    config: InternalAxiosRequestConfig,
    observed: CallFollower | undefined,
  ): Promise<AxiosResponse> {
    try {
      return await call();
    } catch (error) {
      // What the caller gets instead says nothing of the service.
      observed?.end(resultOfError(error));
      return fallbackResponse(await fallback(error, config), config);
    }
  }

  /** A call within its service's bulkhead, run by its policy. */
  private async guarded(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    callee: ServiceCallee,
    observed: CallFollower | undefined,
  ): Promise<AxiosResponse> {
    const { signal, release } = platformSignal(config.signal);
    try {
      const response = await callee.run(
        async (own) =>
          this.tryInstances(address, own === undefined ? config : { ...config, signal: own }, callee, observed),
        signal,
      );
      response.config = config;
      return response;
    } catch (error) {
      throw codeOf(error) === 'ABORTED' ? new CanceledError(undefined, config) : error;
    } finally {
      // A stream that is still to be read is ended by the caller's signal.
      if (config.responseType !== 'stream') release();
    }
  }

  private tryInstances(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    callee: Callee,
    observed: CallFollower | undefined,
  ): Promise<AxiosResponse> {
    const { options } = callee;
    const { hedging, retry } = options;
    const deadline = this.deadlineOf(options);
    const { routing } = this.options;
    const context =
      routing.isPlain(options) && (config as ServiceRequestConfig).loadBalancing === undefined
        ? FIRST_TRY
        : routing.contextOf(address.host, options, signsOf(config, address));
    const call: ServiceCall = { address, config, options, deadline, carried: routing.carried(options, context) };
    const data: unknown = config.data;
    const manner: CallManner = {
      method: config.method,
      isReplayable: (wasUnsent) => isReplayable(data, wasUnsent),
      isCallersFault: isStream(data) ? () => StreamSource.of(data).failure !== undefined : undefined,
      everyFailure: false,
      deadline,
      context,
      now: this.now,
      signal: config.signal,
      endOf: config.responseType === 'stream' ? endOfStream : undefined,
      observed,
    };
    // What is read of a stream later must stay in the caller's hand, which a hedge's own signal takes away.
    const mayHedge = isRepeatableBody(data) && config.responseType !== 'stream' && isRepeatable(config.method, retry);
    if (hedging === undefined || !mayHedge) {
      return tryEach(callee, manner, pickFirst(callee, manner.context), (instance, headers) =>
        this.send(call, instance, headers),
      );
    }
    return tryHedged(
      callee,
      manner,
      hedging,
      (instance, headers, signal) => this.send({ ...call, config: { ...config, signal } }, instance, headers),
      config.signal,
    ).then((response) => {
      response.config = config;
      return response;
    });
  }

  /** @param more headers of those who observe the call */
  private send(
    call: ServiceCall,
    instance: ServiceInstance,
    more: Readonly<Record<string, string>> | undefined,
  ): Promise<AxiosResponse> {
    const { address, config, options } = call;
    const { url, metadata } = instance;
    const timeoutMs = this.timeLeft(config, options, call.deadline);
    const target = url + basePath(metadata[options.basePathMetadata]) + address.path;
    const { redirects } = options;
    if (this.headers.isNone(options, call.carried)) {
      return this.transport.send(
        config,
        timeoutMs === undefined
          ? { url: target, redirects, headers: more }
          : { url: target, redirects, headers: more, timeoutMs },
      );
    }
    return this.headers.of(options, call.carried, instance, timeoutMs ?? 0).then((headers) =>
      this.transport.send(config, {
        url: target,
        redirects,
        headers: more === undefined ? headers : { ...headers, ...more },
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    );
  }

  /**
   * How long a try may take; 0: for ever, undefined: what the config says.
   * @throws AxiosError when there is no time left
   */
  private timeLeft(
    config: InternalAxiosRequestConfig,
    options: ResolvedCallOptions,
    deadline: number,
  ): number | undefined {
    // An axios config may hold anything: what isn't a number is the transport's to read, or to refuse.
    if (config.timeout !== undefined && typeof config.timeout !== 'number') return undefined;
    const own = config.timeout === undefined || config.timeout === 0 ? options.timeoutMs : config.timeout;
    if (deadline === Infinity) return own;
    const left = Math.ceil(deadline - this.now());
    if (left <= 0) throw new AxiosError(`timeout of ${options.totalTimeoutMs}ms exceeded`, 'ECONNABORTED', config);
    return own === 0 ? left : Math.min(own, left);
  }
}

/** The instance's own host name means nothing here. */
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN']);
