import type { IncomingMessage } from 'node:http';
import type { ServiceInstance } from '../../model/index.js';
import { addForwarded, isForwardedClaim, type ForwardedPlan } from './forwarded.js';
import { changeHeaders, isHopByHop, namedBy, type HeaderChanges, type HeaderList } from './header-list.js';
import type { ForwardBody } from './request-body.js';

/** How the head of a request is written anew. */
export interface RequestHeadPlan extends ForwardedPlan {
  /** `service`: the instance's own; `keep`: as it came; or this text. */
  readonly host: 'service' | 'keep' | (string & {});
  readonly changes: HeaderChanges | undefined;
}

/** More headers than this are no request that anybody meant. */
const MAX_HEADERS = 1000;

/**
 * Whether there are more headers than are passed on. Node leaves out those beyond `maxHeadersCount` (2000) and says nothing: what is
 * missing may be the length of the body.
 */
export function hasTooManyHeaders({ rawHeaders, socket }: IncomingMessage): boolean {
  const { maxHeadersCount } =
    (socket as { readonly server?: { readonly maxHeadersCount?: number | null } }).server ?? {};
  return rawHeaders.length / 2 >= Math.min(maxHeadersCount || Infinity, MAX_HEADERS);
}

/** The headers of a request as a service gets them, but for `Host`, which is the instance's. */
export function requestHeaders(request: IncomingMessage, body: ForwardBody, plan: RequestHeadPlan): HeaderList {
  const { rawHeaders } = request;
  const named = namedBy(request.headers.connection);
  const claimsCount = plan.trusted?.has(request.socket.remoteAddress) === true;
  const headers: HeaderList = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    const lower = name.toLowerCase();
    if (isHopByHop(lower) || named.has(lower)) {
      if (lower === 'trailer' && body.trailers !== undefined) headers.push(name, value);
      if (lower === 'te' && /\btrailers\b/i.test(value)) headers.push('TE', 'trailers');
      continue;
    }
    switch (lower) {
      case 'host':
      // Answered here: whoever waits for it was told to go on.
      // oxlint-disable-next-line no-fallthrough -- none of these goes on
      case 'expect':
        continue;
      case 'content-length':
        if (body.length === undefined && request.headers['transfer-encoding'] === undefined) headers.push(name, value);
        continue;
      case 'content-encoding':
        if (!body.wasDecoded) headers.push(name, value);
        continue;
      case 'content-type':
        headers.push(name, body.contentType ?? value);
        continue;
      default:
        // Of an HTTP/2 request's own, and what a sender claims who isn't believed.
        if (lower.startsWith(':') || (isForwardedClaim(lower) && (!claimsCount || isRewritten(lower, plan)))) continue;
        headers.push(name, value);
    }
  }
  if (body.length !== undefined) headers.push('Content-Length', String(body.length));
  addForwarded(headers, request, plan);
  return changeHeaders(headers, plan.changes);
}

/** What {@link addForwarded} writes anew. */
function isRewritten(name: string, { headers }: ForwardedPlan): boolean {
  if (headers === 'none') return false;
  if (name === 'forwarded') return headers !== 'x-forwarded';
  return name !== 'x-real-ip' && name !== 'x-forwarded-ssl' && headers !== 'forwarded';
}

/** The `Host` of a request to this instance. */
export function hostFor(request: IncomingMessage, instance: ServiceInstance, { host }: RequestHeadPlan): string {
  if (host === 'keep') return request.headers.host ?? authorityOf(instance);
  return host === 'service' ? authorityOf(instance) : host;
}

function authorityOf({ url }: ServiceInstance): string {
  return url.slice(url.indexOf('://') + 3);
}

/**
 * The path at the instance: what its metadata says comes first, unless that would lead elsewhere.
 * @returns undefined for a base path that is none
 */
export function pathAt(basePath: string | undefined, path: string): string | undefined {
  if (basePath === undefined || basePath === '' || basePath === '/') return path;
  const base = `/${basePath.replace(/^\/+|\/+$/g, '')}`;
  if (!/^(?:\/[\w\-.~!$&'()*+,;=:@%]+)+$/.test(base)) return undefined;
  const decoded = base.replace(/%2e/gi, '.');
  if (
    /%2f|%5c|%00/i.test(base) ||
    decoded.split('/').some((part) => part === '..' || part === '.' || part.startsWith('..;'))
  )
    return undefined;
  return base + path;
}
