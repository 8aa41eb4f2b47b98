import type { AxiosRequestConfig, AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import type { BalancingStrategy, EjectionOptions, RouteSettings, RoutingOptions } from '../balancing/index.js';
import { defined } from '../model/index.js';
import type { BulkheadOptions } from './bulkhead.js';
import type { CallPolicy } from './call-policy.js';
import type { Redirects } from './transport/index.js';

/** How calls to a service are made. */
export interface CallOptions {
  /** Which instance gets a call. @default 'round-robin' */
  readonly balancing?: BalancingStrategy;
  /** How the instances are narrowed down before one is picked. @default the app's zone is preferred */
  readonly routing?: RoutingOptions;
  /** When an instance that fails is left out for a while; false: never. @default see EjectionOptions */
  readonly ejection?: EjectionOptions | false;
  /** Instances that one call may try, the first included; `'all'`: each once. @default 3 */
  readonly maxAttempts?: number | 'all';
  /** How long one try may take, in milliseconds; 0: for ever. @default 10000 */
  readonly timeoutMs?: number;
  /** How long a call may take with all its tries, in milliseconds; 0: for ever. @default 0 */
  readonly totalTimeoutMs?: number;
  /** When a call may be tried on another instance. */
  readonly retry?: RetryOptions;
  /** Asks another instance too when an answer takes long; for methods that may be sent twice. @default none */
  readonly hedging?: HedgingOptions;
  /** Headers of the request in whose course a call is made that the call carries on, unless it has its own. @default [] */
  readonly forwardHeaders?: readonly string[];
  /** Header of the call whose value is its hint: see {@link RequestBalancing}. @default none */
  readonly hintHeader?: string;
  /** Header of the call whose value is its key: see {@link RequestBalancing}. @default none */
  readonly keyHeader?: string;
  /** Header that tells the instance how many milliseconds are left for the call. @default none */
  readonly deadlineHeader?: string;
  /**
   * Which redirects of its instances a call follows: those within the instance's origin, `any` (to another origin without
   * credentials, forwarded headers and headers of your own), or `none`. @default 'same-origin'
   */
  readonly redirects?: Redirects;
  /**
   * Whether a client that is bound to a service also calls absolute URLs, and other services as `lb://OTHER/path`: with
   * the call's headers. Off, so that no path that came from outside sends them elsewhere. @default false
   */
  readonly allowAbsoluteUrls?: boolean;
  /** Name of the metadata that holds the path below which an instance serves. @default 'contextPath' */
  readonly basePathMetadata?: string;
  /** Bounds the calls that are under way to the service at a time. @default none */
  readonly bulkhead?: BulkheadOptions;
  /**
   * Runs the whole call, retries on other instances included: a circuit breaker, say, as cockatiel makes them. What it throws is
   * thrown, or given to `fallback`. @default none
   */
  readonly policy?: CallPolicy;
  /** Answers a call that failed on every instance: data for the response, or a promise of it. Throw to let it fail. */
  readonly fallback?: (error: unknown, request: InternalAxiosRequestConfig) => unknown;
}

/** What one call tells the load balancer: `{ loadBalancing: { key, hint } }` in its config. */
export interface RequestBalancing {
  /** What calls that belong together have in common, for `consistent-hash` and `sticky`. */
  readonly key?: string;
  /** Only instances with this value in the metadata `routing.hintMetadata`, if there are any. */
  readonly hint?: string;
  /** The lane of the call, which it carries on: see `routing.lane`. @default that of the request in whose course it is made */
  readonly lane?: string;
  /** The version of the API that is called: see `routing.version`. */
  readonly version?: string;
}

/** A call's config: axios's, and what the load balancer is told. */
export interface ServiceRequestConfig<D = unknown> extends AxiosRequestConfig<D> {
  readonly loadBalancing?: RequestBalancing;
  /**
   * The URL's path with names in the place of values, for traces: `/orders/:id`. @default that of declarative clients,
   * which know it; else none
   */
  readonly urlTemplate?: string | undefined;
}

/** When a call may be tried on another instance. A request that surely was not sent always may. */
export interface RetryOptions {
  /** Also methods that do something twice when they are sent twice (POST, PATCH). @default false */
  readonly unsafeMethods?: boolean;
  /**
   * Also calls whose `timeoutMs` was over, with methods that may be sent twice, as long as `totalTimeoutMs` isn't.
   * @default false
   */
  readonly timeouts?: boolean;
  /** Answers that count as failures of the instance. @default [502, 503, 504] */
  readonly statuses?: readonly number[];
  /** Retries, as a share of the calls, that a service in trouble may get besides. @default 0.2 */
  readonly budgetShare?: number;
  /** Retries a second that are always allowed. @default 10 */
  readonly budgetPerSecond?: number;
}

/** When a call that takes long is also sent to another instance. */
export interface HedgingOptions {
  /** How long an answer may take before another instance is asked too, in milliseconds: the service's p95, say. */
  readonly delayMs: number;
  /** How many more instances are asked, each `delayMs` after the one before. @default 1 */
  readonly maxHedges?: number;
}

/** Call options with every default filled in. */
export interface ResolvedCallOptions extends Required<
  Omit<
    CallOptions,
    'retry' | 'hedging' | 'hintHeader' | 'keyHeader' | 'deadlineHeader' | 'bulkhead' | 'policy' | 'fallback'
  >
> {
  readonly retry: Required<RetryOptions>;
  readonly hedging: HedgingOptions | undefined;
  readonly hintHeader: string | undefined;
  readonly keyHeader: string | undefined;
  readonly deadlineHeader: string | undefined;
  readonly bulkhead: BulkheadOptions | undefined;
  readonly policy: CallPolicy | undefined;
  readonly fallback: CallOptions['fallback'];
}

/** Fills in the defaults; of several layers the last wins, field by field. */
export function resolveCallOptions(layers: readonly (CallOptions | undefined)[], zone?: string): ResolvedCallOptions {
  const merged: CallOptions = Object.assign({}, ...layers);
  const retry: RetryOptions = Object.assign({}, ...layers.map((layer) => layer?.retry));
  return {
    balancing: merged.balancing ?? 'round-robin',
    routing: { ...(zone === undefined ? {} : { zone }), ...lanesOf(layers), ...merged.routing },
    ejection: merged.ejection ?? {},
    maxAttempts: merged.maxAttempts ?? 3,
    timeoutMs: merged.timeoutMs ?? 10_000,
    totalTimeoutMs: merged.totalTimeoutMs ?? 0,
    retry: {
      unsafeMethods: retry.unsafeMethods ?? false,
      timeouts: retry.timeouts ?? false,
      statuses: retry.statuses ?? [502, 503, 504],
      budgetShare: retry.budgetShare ?? 0.2,
      budgetPerSecond: retry.budgetPerSecond ?? 10,
    },
    hedging: merged.hedging,
    forwardHeaders: merged.forwardHeaders ?? [],
    hintHeader: merged.hintHeader,
    keyHeader: merged.keyHeader,
    deadlineHeader: merged.deadlineHeader,
    redirects: merged.redirects ?? 'same-origin',
    allowAbsoluteUrls: merged.allowAbsoluteUrls ?? false,
    basePathMetadata: merged.basePathMetadata ?? 'contextPath',
    bulkhead: merged.bulkhead,
    policy: merged.policy,
    fallback: merged.fallback,
  };
}

/** Lanes and versions are those of the whole app: other routing for one service leaves them as they are. */
function lanesOf(layers: readonly (CallOptions | undefined)[]): RoutingOptions {
  const { lane, version }: RoutingOptions = Object.assign({}, ...layers.map((layer) => layer?.routing));
  return defined({ lane, version });
}

/** What of the options says how an instance is picked. */
export function routeSettings({ balancing, routing, ejection }: ResolvedCallOptions): RouteSettings {
  return { balancing, routing, ejection };
}

/** The response of a fallback: 200 with its data. */
export function fallbackResponse(data: unknown, config: InternalAxiosRequestConfig): AxiosResponse {
  return { data, status: 200, statusText: 'OK (fallback)', headers: {}, config };
}
