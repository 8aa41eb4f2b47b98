import type { AddressResolver } from '../../backend/index.js';
import type { PickContext } from '../../balancing/index.js';
import { assertWithin, fullUrl, parseAddress, schemeOf, serviceUrl, type CallAddress } from '../address.js';
import { isRepeatable } from '../failover.js';
import type { RequestBalancing, ResolvedCallOptions } from '../call-options.js';
import { isHarmless, leaves } from '../transport/index.js';
import { listenerOf } from './dispatch-listener.js';
import type { DispatchedCall } from './dispatched-call.js';
import type { DispatchHandler, DispatchOptions } from './dispatch-port.js';
import type { DispatchTargets } from './dispatch-targets.js';
import { fetchFallback } from './fetch-fallback.js';
import { only } from './request-headers.js';

/** What `fetch` takes, and what the load balancer is told. */
export interface ServiceFetchInit extends RequestInit {
  readonly loadBalancing?: RequestBalancing;
}

/** Node's own `fetch`, to services. */
export type ServiceFetchFunction = (input: string | URL | Request, init?: ServiceFetchInit) => Promise<Response>;

/**
 * The app's `fetch`: `http.fetch('lb://STOCK/quote')` goes to an instance of STOCK, picked, counted and tried elsewhere as any
 * other call, and gives Node's own `Response`; other URLs go where they say. Injectable. `http.fetch` may be handed on as it is
 * to whatever takes a `fetch`.
 */
export class ServiceFetch {
  /** @internal Made by the module. */
  constructor(readonly fetch: ServiceFetchFunction) {}
}

/** The host that stands in for a service in URLs: any name may be a service's, and few are hosts. */
const PLACEHOLDER = 'service.invalid';

/** Makes the `fetch` of a client. */
export function fetchOf(
  targets: DispatchTargets,
  optionsOf: (service: string) => ResolvedCallOptions,
): ServiceFetchFunction {
  const call = (input: string | URL | Request, init: ServiceFetchInit | undefined): Promise<Response> => {
    const given = typeof input === 'string' ? input : input instanceof Request ? input.url : String(input);
    const address = addressOf(targets, given);
    if (address === undefined) return fetch(input, init);
    const resolver = address.isService ? undefined : targets.resolverOf(address.host);
    if (!address.isService && resolver === undefined) return fetch(input, init);
    const options = optionsOf(address.host);
    const target: Target = { targets, options, address, resolver, scheme: schemeOf(given) };
    const { policy, fallback } = options;
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    const answer =
      policy === undefined
        ? fetchService(target, input, init)
        : policy.execute(
            (context) => fetchService(target, input, { ...init, signal: context.signal }),
            signal ?? undefined,
          );
    return fallback === undefined
      ? answer
      : answer.catch((error: unknown) => fetchFallback(fallback, error, input, init));
  };
  return (input, init) => {
    try {
      return call(input, init);
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

/** Where a `fetch` goes. */
interface Target {
  readonly targets: DispatchTargets;
  readonly options: ResolvedCallOptions;
  readonly address: CallAddress;
  /** Who knows the instances behind the host; undefined: it is a service. */
  readonly resolver: AddressResolver | undefined;
  readonly scheme: string;
}

function fetchService(target: Target, input: string | URL | Request, init: ServiceFetchInit = {}): Promise<Response> {
  const { options, address } = target;
  const { body } = init;
  const method = init.method ?? (input instanceof Request ? input.method : 'GET');
  if (body instanceof FormData && isRepeatable(method, options.retry)) {
    return bytesOf(body, init.headers).then((sent) => fetchService(target, input, { ...init, ...sent }));
  }
  const { host, path } = address;
  const origin = `http://${hostFor(host)}`;
  const url = origin + path;
  const dispatcher = new FetchTarget(target, origin, init.loadBalancing, replayable(body));
  const more = { ...init, dispatcher };
  if (options.redirects === 'none' && init.redirect === undefined) more.redirect = 'manual';
  // A dispatcher is to Node's `fetch` whatever has its method.
  return fetch(input instanceof Request ? requestTo(url, input) : url, more as unknown as RequestInit);
}

/** A request to the service of a client, or to a service at all; undefined for any other URL. */
function addressOf({ bound }: DispatchTargets, given: string): CallAddress | undefined {
  if (bound === undefined) return parseAddress(given);
  const { service, options } = bound;
  // Most of all: a path of nothing that could mean anything else.
  if (PLAIN_PATH.test(given)) return { host: service, isService: true, path: given };
  const own = ownPath(service, given);
  const url = fullUrl(serviceUrl(service), own ?? given, true);
  const address = parseAddress(url);
  assertWithin(service, url, address, own ?? given, options.allowAbsoluteUrls);
  return address;
}

const PLAIN_PATH = /^(?:\/[\w-]+)+\/?(?:\?[\w\-=&,]*)?$/;

/** The path of `http://STOCK/quote`, as clients that were given a base URL write it. */
function ownPath(service: string, given: string): string | undefined {
  const [, host, path = ''] = /^https?:\/\/([^/?#:@]+)([/?#].*)?$/is.exec(given) ?? [];
  if (host?.toLowerCase() !== service.toLowerCase()) return undefined;
  return path.startsWith('/') ? path : `/${path}`;
}

function hostFor(service: string): string {
  return /^[a-z\d](?:[a-z\d.-]*[a-z\d])?$/i.test(service) && !/(?:^|\.)\d[^.]*$/.test(service)
    ? service.toLowerCase()
    : PLACEHOLDER;
}

function requestTo(url: string, request: Request): Request {
  return request.url === url ? request : new Request(url, request);
}

/** The body of a request as often as one likes, if it can be had so. */
function replayable(body: RequestInit['body']): (() => unknown) | undefined {
  if (body instanceof URLSearchParams) {
    const text = body.toString();
    return () => text;
  }
  return typeof body === 'string' || body instanceof Uint8Array || body instanceof Blob ? () => body : undefined;
}

/** A form as bytes, which can be sent again; its boundary is made with them. */
async function bytesOf(
  form: FormData,
  headers: RequestInit['headers'],
): Promise<{ body: Uint8Array; headers: Headers }> {
  const made = new Response(form);
  const all = new Headers(headers);
  all.set('content-type', made.headers.get('content-type') ?? '');
  return { body: new Uint8Array(await made.arrayBuffer()), headers: all };
}

/** Where one `fetch` goes: to an instance of its service, and then where that redirects it, within the instance. */
class FetchTarget {
  private call: DispatchedCall | undefined;

  constructor(
    private readonly target: Target,
    private readonly origin: string,
    private readonly given: PickContext | undefined,
    private readonly body: (() => unknown) | undefined,
  ) {}

  dispatch(request: DispatchOptions, handler: DispatchHandler): boolean {
    const { given, call } = this;
    const { targets, options, address, resolver, scheme } = this.target;
    const service = address.host;
    const listener = listenerOf(handler);
    const hasBody = request.body !== undefined && request.body !== null;
    const body = hasBody ? this.body : undefined;
    const started = (one: DispatchedCall): void => {
      this.call = one;
    };
    if (call === undefined) {
      targets.send(service, request, listener, { given, body, started, resolver, scheme, isRun: true });
      return true;
    }
    const to = String(request.origin);
    if (to === this.origin || to === new URL(call.target).origin) {
      targets.send(service, request, listener, {
        given,
        body,
        started,
        resolver,
        scheme,
        isRun: true,
        pinned: call.target,
      });
    } else if (options.redirects === 'any') {
      targets.sendPlain(to, { ...request, headers: only(request.headers, isHarmless) }, listener);
    } else {
      listener.onError(leaves(call.target, to));
    }
    return true;
  }
}
