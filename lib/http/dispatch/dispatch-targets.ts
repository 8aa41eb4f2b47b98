import { isIP } from 'node:net';
import type { AddressResolver } from '../../backend/index.js';
import { FIRST_TRY, type InstancePick, type PickContext } from '../../balancing/index.js';
import { isNobodyToCall, type ServiceViews } from '../../discovery/index.js';
import { describe, DiscoveryError, NoInstanceError } from '../../model/index.js';
import type { CallTelemetry } from '../../observability/index.js';
import { schemeOf } from '../address.js';
import { pickFirst, pickHedge } from '../attempts.js';
import type { CallHeaders } from '../call-headers.js';
import type { ResolvedCallOptions } from '../call-options.js';
import { resolvedName } from '../call-result.js';
import type { CallRouting } from '../call-routing.js';
import type { BoundService, Callees, ServiceCallee } from '../callees.js';
import { isRepeatable } from '../failover.js';
import type { PooledTransport } from '../transport/index.js';
import { DispatchedCall, isPlainBody, type DispatchMore, type DispatchOwner } from './dispatched-call.js';
import { listenerOf } from './dispatch-listener.js';
import { GuardedListener } from './guarded-listener.js';
import { HedgedDispatch, type HedgedSource } from './hedged-dispatch.js';
import type { DispatchHandler, DispatchListener, DispatchOptions } from './dispatch-port.js';
import type { LastingCalls } from './lasting-calls.js';
import { ObservedListener } from './observed-listener.js';
import { PlainCall } from './plain-call.js';
import { requestHeader, withMore, type RequestHeaders } from './request-headers.js';

/** What {@link DispatchTargets} need of their client. */
export interface DispatchTargetsOptions {
  readonly callees: Callees;
  readonly resolvers: readonly AddressResolver[];
  readonly headers: CallHeaders;
  readonly routing: CallRouting;
  readonly views: ServiceViews;
  readonly pools: PooledTransport;
  readonly lasting: LastingCalls;
  /** Hears of the calls. */
  readonly calls: CallTelemetry;
  readonly bound: BoundService | undefined;
}

/** Hosts of which it is known which service they mean. */
const MAX_HOSTS = 1000;

/** Sends requests that come from undici's callers, of whatever Node, to instances of services, and others where they say. */
export class DispatchTargets implements DispatchOwner {
  /** Undefined: no service. */
  private readonly services = new Map<string, string | undefined>();
  /** How callers write the bound service. */
  private boundOrigin: string | undefined;
  readonly pools: PooledTransport;
  readonly now: () => number;

  constructor(private readonly options: DispatchTargetsOptions) {
    this.pools = options.pools;
    this.now = options.callees.now;
  }

  /** The service of a bound client. */
  get bound(): BoundService | undefined {
    return this.options.bound;
  }

  /** As a dispatcher of undici's: `http://stock` is the service STOCK, `http://10.0.0.5:8080` what it says. */
  dispatch(request: DispatchOptions, handler: DispatchHandler): boolean {
    const listener = listenerOf(handler);
    const origin = String(request.origin);
    const { bound } = this.options;
    if (bound !== undefined && !bound.options.allowAbsoluteUrls) {
      if (origin !== this.boundOrigin && hostOf(origin) === bound.service.toLowerCase()) this.boundOrigin = origin;
      if (origin === this.boundOrigin) this.send(bound.service, request, listener, NOTHING_MORE);
      else listener.onError(outside(bound.service, origin));
      return true;
    }
    if (this.services.has(origin)) {
      this.sendTo(this.services.get(origin), origin, request, listener);
      return true;
    }
    const host = hostOf(origin);
    const resolver = host === undefined ? undefined : this.resolverOf(host);
    if (host !== undefined && resolver !== undefined)
      this.send(host, request, listener, { resolver, scheme: schemeOf(origin) });
    else void this.sendSoon(origin, request, listener);
    return true;
  }

  /** Who knows the instances behind a host that is no service's; undefined: it is where it says. */
  resolverOf(host: string): AddressResolver | undefined {
    return this.options.resolvers.find((one) => one.handles(host));
  }

  /** A request to a service, or to a host that a resolver knows. */
  send(service: string, request: DispatchOptions, listener: DispatchListener, more: DispatchMore): void {
    const { begin } = this.options.calls;
    // Where a redirect leads is the same call.
    if (begin === undefined || more.pinned !== undefined) return this.start(service, request, listener, more);
    const name = more.resolver === undefined ? service : resolvedName(service);
    const observed = begin({ protocol: 'http', service: name, method: (request.method ?? 'GET').toUpperCase() });
    if (observed === undefined) return this.start(service, request, listener, more);
    this.start(service, request, new ObservedListener(listener, observed), { ...more, observed });
  }

  private start(service: string, request: DispatchOptions, listener: DispatchListener, more: DispatchMore): void {
    const callee = this.pools.isWired && more.resolver === undefined ? this.options.callees.known(service) : undefined;
    if (callee === undefined) void this.sendWhenKnown(service, request, listener, more);
    else this.sendGuarded(service, callee, request, listener, more);
  }

  /** A request to an address that is no service. */
  sendPlain(origin: string, request: DispatchOptions, listener: DispatchListener): void {
    try {
      new PlainCall(listener).send(this.pools, origin, request);
    } catch (error) {
      listener.onError(error as Error);
    }
  }

  headersFor(
    callee: ServiceCallee,
    context: PickContext,
    headers: RequestHeaders,
    { instance }: InstancePick,
    timeoutMs: number,
  ): RequestHeaders | Promise<RequestHeaders> {
    const { options } = callee;
    const carried = this.options.routing.carried(options, context);
    if (this.options.headers.isNone(options, carried)) return headers;
    return this.options.headers.of(options, carried, instance, timeoutMs).then((more) => withMore(headers, more));
  }

  opened(call: DispatchedCall): void {
    this.options.lasting.add(call);
  }

  ended(call: DispatchedCall): void {
    this.options.lasting.delete(call);
  }

  /** Within the service's bulkhead for as long as it lasts, and run by its policy, unless the caller has done that. */
  private sendGuarded(
    service: string,
    callee: ServiceCallee,
    request: DispatchOptions,
    listener: DispatchListener,
    more: DispatchMore,
  ): void {
    if (callee.isFree) {
      this.sendNow(service, callee, request, listener, more);
      return;
    }
    const guarded = new GuardedListener(listener);
    const call = (): Promise<void> => guarded.during(() => this.sendNow(service, callee, request, guarded, more));
    const run = more.isRun === true ? callee.bounded(call) : callee.run(call);
    run.catch((error: unknown) => guarded.refused(error as Error));
  }

  private sendNow(
    service: string,
    callee: ServiceCallee,
    request: DispatchOptions,
    listener: DispatchListener,
    more: DispatchMore,
  ): void {
    const { routing } = this.options;
    const { given, pinned } = more;
    try {
      const { options } = callee;
      const context =
        given === undefined && routing.isPlain(options)
          ? FIRST_TRY
          : routing.contextOf(service, options, {
              header: (name) => requestHeader(request.headers, name),
              path: request.path,
              given,
            });
      const pick = (pinned === undefined ? undefined : pickAt(callee, pinned)) ?? pickFirst(callee, context);
      const send = (to: InstancePick, heard: DispatchListener, all: DispatchMore): DispatchedCall => {
        const call = new DispatchedCall(this, callee, context, request, heard, to, all);
        more.started?.(call);
        return call;
      };
      const { hedging } = options;
      if (hedging === undefined || !mayHedge(request, more, options)) {
        send(pick, listener, more).send();
        return;
      }
      const source: HedgedSource = {
        hedging,
        send: (to, heard, line) => send(to, heard, { ...more, line }),
        next: (tried) => pickHedge(callee, { context, observed: more.observed }, tried),
      };
      new HedgedDispatch(source, listener).start(pick);
    } catch (error) {
      void this.explain(error, listener, service, more.resolver);
    }
  }

  private async sendWhenKnown(
    service: string,
    request: DispatchOptions,
    listener: DispatchListener,
    more: DispatchMore,
  ): Promise<void> {
    const { callees } = this.options;
    try {
      await this.load();
      const { resolver } = more;
      const callee =
        resolver === undefined
          ? await callees.with(service, async (view) => {
              await callees.whenKnown(view);
              return callees.of(view, service);
            })
          : await callees.resolved(resolver, service, more.scheme);
      this.sendGuarded(service, callee, request, listener, more);
    } catch (error) {
      void this.explain(error, listener, service, more.resolver);
    }
  }

  private async sendSoon(origin: string, request: DispatchOptions, listener: DispatchListener): Promise<void> {
    try {
      await this.load();
      this.sendTo(await this.serviceOf(origin), origin, request, listener);
    } catch (error) {
      listener.onError(error as Error);
    }
  }

  private sendTo(
    service: string | undefined,
    origin: string,
    request: DispatchOptions,
    listener: DispatchListener,
  ): void {
    if (service === undefined) this.sendPlain(origin, request, listener);
    else this.send(service, request, listener, NOTHING_MORE);
  }

  private async load(): Promise<void> {
    await this.pools.warmUp();
    if (this.pools.isWired) return;
    throw new DiscoveryError('UNSUPPORTED', 'this runtime has no undici that fetch and dispatchers could go over');
  }

  /** The service that a host means, in whatever case, as URLs know none; undefined when it means none. */
  private async serviceOf(origin: string): Promise<string | undefined> {
    const host = hostOf(origin);
    const { views } = this.options;
    let service: string | undefined;
    let isCertain = true;
    if (host !== undefined) {
      const names = await views.spelledLike(host);
      service = names.includes(host) ? host : names[0];
      // A host with dots is anybody's, unless a service is called so. Any other may be a service that comes later.
      isCertain = service !== undefined;
      service ??= host.includes('.') ? undefined : host;
    }
    if (isCertain) {
      if (this.services.size >= MAX_HOSTS) this.services.clear();
      this.services.set(origin, service);
    }
    return service;
  }

  private async explain(
    error: unknown,
    listener: DispatchListener,
    host: string,
    resolver: AddressResolver | undefined,
  ): Promise<void> {
    const told =
      (isNobodyToCall(error) ? resolver?.notFound?.(host) : undefined) ??
      (error instanceof NoInstanceError ? await this.options.views.explained(error) : error);
    // What is thrown here else is a mistake of the code's.
    listener.onError(isNobodyToCall(told) || told instanceof Error ? told : new Error(describe(told)));
  }
}

const NOTHING_MORE: DispatchMore = {};

/** Only a body that can be had again is sent twice, and only where that does nothing twice. */
function mayHedge(
  { method, body, upgrade }: DispatchOptions,
  { body: again, pinned }: DispatchMore,
  { retry }: ResolvedCallOptions,
): boolean {
  if (pinned !== undefined || (upgrade !== undefined && upgrade !== null)) return false;
  return isRepeatable(method, retry) && (again !== undefined || isPlainBody(body));
}

function pickAt(callee: ServiceCallee, url: string): InstancePick | undefined {
  const { route } = callee;
  const endpoint = route.candidates.find(({ instance }) => instance.url === url);
  return endpoint && route.begin(endpoint);
}

/** The host of an origin that may name a service: one without a port, and no address. */
export function hostOf(origin: string): string | undefined {
  const host = /^(?:https?|wss?|lb):\/\/([^:/]+)$/i.exec(origin)?.[1]?.toLowerCase();
  return host === undefined || host === 'localhost' || isIP(host) !== 0 ? undefined : host;
}

/** The error of a client that would leave its service. */
export function outside(service: string, origin: string): DiscoveryError {
  return new DiscoveryError(
    'INVALID_OPTION',
    `the client of ${service} calls nothing else: ${describe(origin)} is another address`,
    { field: 'url', service },
  );
}
