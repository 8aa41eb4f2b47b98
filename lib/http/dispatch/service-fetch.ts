import type { PickContext } from '../../balancing/index.js';
import { assertWithin, fullUrl, parseAddress, serviceUrl, type CallAddress } from '../address.js';
import { isRepeatable } from '../failover.js';
import type { RequestBalancing, ResolvedCallOptions } from '../call-options.js';
import { isHarmless, leaves } from '../transport/index.js';
import { listenerOf } from './dispatch-listener.js';
import type { DispatchedCall } from './dispatched-call.js';
import type { DispatchHandler, DispatchOptions } from './dispatch-port.js';
import type { DispatchTargets } from './dispatch-targets.js';
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
  return async (input, init) => {
    const given = input instanceof Request ? input.url : String(input);
    const address = addressOf(targets, given);
    if (address?.isService !== true) return fetch(input, init);
    const { host: service, path } = address;
    const options = optionsOf(service);
    const url = `http://${hostFor(service)}${path}`;
    const { loadBalancing, ...rest } = init ?? {};
    const method = rest.method ?? (input instanceof Request ? input.method : 'GET');
    const { body, headers } = await replayable(rest, isRepeatable(method, options.retry));
    const dispatcher = new FetchTarget(targets, service, options, `http://${hostFor(service)}`, loadBalancing, body);
    const more = {
      ...rest,
      ...(headers === undefined ? {} : { headers, body: body?.() as Uint8Array }),
      ...(options.redirects === 'none' && rest.redirect === undefined ? { redirect: 'manual' as const } : {}),
      dispatcher,
    };
    // A dispatcher is what Node's `fetch` makes of anything that has its method.
    return fetch(input instanceof Request ? requestTo(url, input) : url, more as unknown as RequestInit);
  };
}

/** A request to the service of a client, or to a service at all; undefined for any other URL. */
function addressOf({ bound }: DispatchTargets, given: string): CallAddress | undefined {
  if (bound === undefined) return parseAddress(given);
  const { service, options } = bound;
  const own = ownPath(service, given);
  const url = fullUrl(serviceUrl(service), own ?? given, true);
  const address = parseAddress(url);
  assertWithin(service, url, address, own ?? given, options.allowAbsoluteUrls);
  return address;
}

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

/** The body of a request as often as one likes, if it can be had so; and the headers that a form then needs. */
async function replayable(
  { body, headers }: RequestInit,
  isRepeated: boolean,
): Promise<{ readonly body?: () => unknown; readonly headers?: Headers }> {
  if (typeof body === 'string' || body instanceof Uint8Array || body instanceof Blob) return { body: () => body };
  if (body instanceof URLSearchParams) {
    const text = body.toString();
    return { body: () => text };
  }
  if (!(body instanceof FormData) || !isRepeated) return {};
  // Its boundary is made with its bytes.
  const form = new Response(body);
  const all = new Headers(headers);
  all.set('content-type', form.headers.get('content-type') ?? '');
  const bytes = new Uint8Array(await form.arrayBuffer());
  return { body: () => bytes, headers: all };
}

/** Where one `fetch` goes: to an instance of its service, and then where that redirects it, within the instance. */
class FetchTarget {
  private call: DispatchedCall | undefined;

  constructor(
    private readonly targets: DispatchTargets,
    private readonly service: string,
    private readonly options: ResolvedCallOptions,
    private readonly origin: string,
    private readonly given: PickContext | undefined,
    private readonly body: (() => unknown) | undefined,
  ) {}

  dispatch(request: DispatchOptions, handler: DispatchHandler): boolean {
    const { targets, service, given, call } = this;
    const listener = listenerOf(handler);
    const hasBody = request.body !== undefined && request.body !== null;
    const body = hasBody ? this.body : undefined;
    const started = (one: DispatchedCall): void => {
      this.call = one;
    };
    if (call === undefined) {
      targets.send(service, request, listener, { given, body, started });
      return true;
    }
    const to = String(request.origin);
    if (to === this.origin || to === new URL(call.target).origin) {
      targets.send(service, request, listener, { given, body, started, pinned: call.target });
    } else if (this.options.redirects === 'any') {
      targets.sendPlain(to, { ...request, headers: only(request.headers, isHarmless) }, listener);
    } else {
      listener.onError(leaves(call.target, to));
    }
    return true;
  }
}
