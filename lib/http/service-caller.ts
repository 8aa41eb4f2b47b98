import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios, { AxiosHeaders, type AxiosAdapter, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { createLoadBalancer, FIRST_TRY, type BalancingStrategy, type LoadBalancer } from '../balancing/index.js';
import {
  noInstance,
  noSnapshot,
  ServiceBalancer,
  type ServiceView,
  type ServiceViews,
  type ViewLease,
} from '../discovery/index.js';
import { codeOf, messageOf, type Attempt, type ServiceInstance, type Snapshot } from '../model/index.js';
import type { AddressResolver, CallAuthorizer, View } from '../backend/index.js';
import { fullUrl, parseAddress, type CallAddress } from './address.js';
import { isReplayable, mayTryElsewhere } from './failover.js';

/** How calls to a service are made. */
export interface CallOptions {
  /** Which instance gets a call. @default 'round-robin' */
  readonly balancing?: BalancingStrategy;
  /** Instances that one call may try, the first included. @default 3 */
  readonly maxAttempts?: number;
  /** How long one try may take, in milliseconds; 0: for ever. @default 10000 */
  readonly timeoutMs?: number;
}

/** What a {@link ServiceCaller} needs of its app. */
export interface ServiceCallerOptions {
  readonly views: ServiceViews;
  readonly resolvers: readonly AddressResolver[];
  readonly authorizers: readonly CallAuthorizer[];
  readonly firstSnapshotTimeoutMs: number;
  /** The options of a service's calls, defaults included. */
  readonly optionsFor: (service: string) => Required<CallOptions>;
}

/** The connections that all clients of an app share. */
export class Connections {
  /** Sends one request to one instance: axios's own adapter. */
  readonly transport: AxiosAdapter = axios.getAdapter('http');
  readonly httpAgent = new HttpAgent({ keepAlive: true });
  readonly httpsAgent = new HttpsAgent({ keepAlive: true });

  /** Closes all sockets. */
  close(): void {
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
  }
}

/**
 * The axios adapter that turns the name of a service into a call to one of its instances, and to another one when the
 * connection fails. Addresses that name no service go through untouched.
 */
export class ServiceCaller {
  private readonly balancers = new WeakMap<View<Snapshot>, ServiceBalancer>();
  private readonly held = new Map<string, ViewLease>();

  constructor(
    private readonly options: ServiceCallerOptions,
    private readonly connections: Connections,
    /** The one service whose watch stays open from the first call on, and the options of its calls. */
    private readonly bound?: { readonly service: string; readonly options: Required<CallOptions> },
  ) {}

  /** Opens the watch of a service before its first call. */
  warmUp(service: string): void {
    if (!this.held.has(service)) this.held.set(service, this.options.views.acquire(service));
  }

  /** For axios's `adapter` option. */
  readonly adapter: AxiosAdapter = (config) => this.call(config);

  private call(config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    const url = fullUrl(config.baseURL, config.url, config.allowAbsoluteUrls !== false);
    const address = parseAddress(url);
    if (address?.isService === true) return this.callService(address, config);
    const resolver = address && this.options.resolvers.find((candidate) => candidate.handles(address.host));
    if (address !== undefined && resolver !== undefined) {
      const options = this.optionsFor(address.host);
      return this.callInstances(address, config, resolver.resolve(address.host), options);
    }
    return this.connections.transport(config);
  }

  private callService(address: CallAddress, config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
    const { host } = address;
    if (host === this.bound?.service) this.warmUp(host);
    const held = this.held.get(host);
    const options = this.optionsFor(host);
    if (held !== undefined) return this.callWatched(address, config, held.view, options);
    // Held for the time of the call only: the names come from outside, and an unused watch closes by itself.
    return this.options.views.with(host, (view) => this.callWatched(address, config, view, options));
  }

  private async callWatched(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    view: ServiceView,
    options: Required<CallOptions>,
  ): Promise<AxiosResponse> {
    if (view.current.state === 'unknown') {
      const { firstSnapshotTimeoutMs } = this.options;
      const snapshot = await view.settled(firstSnapshotTimeoutMs);
      if (snapshot.state === 'unknown') throw noSnapshot(snapshot, firstSnapshotTimeoutMs);
    }
    return this.callInstances(address, config, view, options);
  }

  private async callInstances(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    view: View<Snapshot>,
    options: Required<CallOptions>,
  ): Promise<AxiosResponse> {
    const balancer = this.balancerFor(view, options.balancing);
    const first = balancer.pick(FIRST_TRY);
    if (first === undefined) throw noInstance(view.current);
    const replayable = isReplayable(config.data);
    let attempts: Attempt[] | undefined;
    let tried: Set<string> | undefined;
    for (let instance = first; ;) {
      try {
        return await this.send(address, config, instance, options);
      } catch (error) {
        attempts ??= [];
        attempts.push(toAttempt(instance, error));
        tried ??= new Set();
        tried.add(instance.url);
        const again = replayable && attempts.length < options.maxAttempts && mayTryElsewhere(error, config.method);
        // Picked from the newest snapshot, which may have changed while the call failed.
        const next = again && config.signal?.aborted !== true ? balancer.pick({ tried }) : undefined;
        if (next === undefined || tried.has(next.url)) throw withAttempts(error, attempts);
        instance = next;
      }
    }
  }

  private async send(
    address: CallAddress,
    config: InternalAxiosRequestConfig,
    instance: ServiceInstance,
    options: Required<CallOptions>,
  ): Promise<AxiosResponse> {
    // A copy for each try: axios's adapter changes the headers that it is given.
    const headers = new AxiosHeaders(config.headers);
    for (const authorizer of this.options.authorizers) {
      for (const [name, value] of Object.entries(await authorizer.headers(instance))) headers.set(name, value, false);
    }
    const { baseURL: _, ...rest } = config;
    return this.connections.transport({
      ...rest,
      headers,
      url: instance.url + address.path,
      timeout: config.timeout === undefined || config.timeout === 0 ? options.timeoutMs : config.timeout,
      httpAgent: config.httpAgent ?? this.connections.httpAgent,
      httpsAgent: config.httpsAgent ?? this.connections.httpsAgent,
      proxy: config.proxy ?? false,
    });
  }

  private optionsFor(host: string): Required<CallOptions> {
    return host === this.bound?.service ? this.bound.options : this.options.optionsFor(host);
  }

  private balancerFor(view: View<Snapshot>, strategy: BalancingStrategy): ServiceBalancer {
    let balancer = this.balancers.get(view);
    if (balancer === undefined) {
      const loadBalancer: LoadBalancer = createLoadBalancer(strategy);
      this.balancers.set(view, (balancer = new ServiceBalancer(view, loadBalancer)));
    }
    return balancer;
  }
}

function toAttempt(instance: ServiceInstance, error: unknown): Attempt {
  const code = codeOf(error);
  return { target: instance.url, reason: messageOf(error), ...(code === undefined ? {} : { code }) };
}

/** Adds what was tried to the last try's error, which stays the error that axios users know. */
function withAttempts(error: unknown, attempts: readonly Attempt[]): unknown {
  if (error instanceof Error) Object.defineProperty(error, 'attempts', { value: attempts, configurable: true });
  return error;
}
