import { AxiosError, type InternalAxiosRequestConfig } from 'axios';
import { DiscoveryError, messageOf } from '../../model/index.js';
import type { HeaderBag } from './axios-headers.js';
import type { Redirects } from './http-transport.js';
import { basic, type WireHeaders } from './request-head.js';
import type { SentRequest } from './sent-request.js';
import type { Target } from './target.js';

/** Redirects that a call follows when `maxRedirects` doesn't say. */
const MAX_REDIRECTS = 21;

/** Never sent to a host that the caller didn't name, nor over a less secure scheme. */
const CREDENTIALS = ['authorization', 'cookie'];

/** What of a call to an instance another origin may see: how to read the body, and what to answer in. */
const HARMLESS = /^(?:accept(?:-.*)?|cache-control|content-.*|if-.*|pragma|range|user-agent)$/;

type HeaderMap = Record<string, string | string[]>;

/** What one hop sends. */
export interface HopPlan {
  readonly method: string;
  readonly target: Target;
  readonly headers: WireHeaders;
  readonly sendsBody: boolean;
}

/** Whether a call may be sent elsewhere by an answer. */
export function followsRedirects(config: InternalAxiosRequestConfig, redirects: Redirects | undefined): boolean {
  return config.maxRedirects !== 0 && redirects !== 'none';
}

/** Takes the headers out that only the instance which was called may see. */
export function keepHarmless(headers: Record<string, unknown>): void {
  for (const name of Object.keys(headers)) if (!isHarmless(name.toLowerCase())) delete headers[name];
}

/** @throws TypeError when a call may not leave `from` for `to` */
export function assertSameOrigin(from: string, to: string): void {
  if (to === from) return;
  throw leaves(from, to);
}

/** The error of a call that may not leave `from` for `to`. */
export function leaves(from: string, to: string): TypeError {
  return new TypeError(
    `${from} redirects to ${to}, where calls to its service don't follow: they do with the option redirects: 'any'`,
  );
}

/** Whether another origin may see a header of a call to an instance, by its name in lower case. */
export function isHarmless(name: string): boolean {
  return HARMLESS.test(name);
}

/** Whether an answer sends the call elsewhere. */
export function isRedirect(
  status: number,
  headers: HeaderBag,
  config: InternalAxiosRequestConfig,
  redirects: Redirects | undefined,
): boolean {
  if (status < 300 || status >= 400 || !followsRedirects(config, redirects)) return false;
  const location: unknown = headers['location'];
  return typeof location === 'string' && location !== '';
}

/**
 * The next hop, by the rules of the package that axios follows redirects with: 303, and 301 and 302 after a POST, turn
 * into a GET without a body; credentials go on to the same origin only.
 *
 * @param count redirects so far, this one included
 * @param first where the call went first: its `auth` is given again to this origin only
 * @param redirects which redirects the call follows; undefined: as axios does
 * @throws AxiosError `ERR_FR_TOO_MANY_REDIRECTS`, or `ERR_FR_REDIRECTION_FAILURE` for a bad address and for what
 * `beforeRedirect` throws
 */
export function followRedirect(
  config: InternalAxiosRequestConfig,
  last: HopPlan,
  answer: { readonly status: number; readonly headers: HeaderBag },
  first: Target,
  count: number,
  request: SentRequest,
  redirects: Redirects | undefined,
): HopPlan {
  if (count > (config.maxRedirects === undefined ? MAX_REDIRECTS : config.maxRedirects)) {
    const message = 'Maximum number of redirects exceeded';
    throw failure(new Error(message), message, AxiosError.ERR_FR_TOO_MANY_REDIRECTS, config, request);
  }
  try {
    const plan = next(config, last, answer, first, redirects === 'any');
    if (redirects === 'same-origin') assertSameOrigin(first.origin, plan.target.origin);
    return plan;
  } catch (error) {
    const message = `Redirected request failed: ${messageOf(error)}`;
    throw failure(error, message, 'ERR_FR_REDIRECTION_FAILURE', config, request);
  }
}

function failure(
  cause: unknown,
  message: string,
  code: string,
  config: InternalAxiosRequestConfig,
  request: SentRequest,
): AxiosError {
  const inner = Object.assign(new Error(message, { cause }), { code, name: `Error [${code}]` });
  return AxiosError.from(inner, code, config, request);
}

function next(
  config: InternalAxiosRequestConfig,
  last: HopPlan,
  { status, headers: answerHeaders }: { readonly status: number; readonly headers: HeaderBag },
  first: Target,
  guarded: boolean,
): HopPlan {
  const headers = toMap(last.headers);
  // That of `auth` is made anew for each hop that it is for.
  if (last.target.auth !== undefined) remove(headers, (name) => name === 'authorization');
  const sent = { ...headers };
  let { method, sendsBody } = last;
  if (((status === 301 || status === 302) && method === 'POST') || (status === 303 && !/^(?:GET|HEAD)$/.test(method))) {
    method = 'GET';
    sendsBody = false;
    remove(headers, (name) => name.startsWith('content-'));
  }
  const lastUrl = new URL(last.target.origin + last.target.path);
  const location = String(answerHeaders['location']);
  const host = remove(headers, (name) => name === 'host');
  // What the request was meant for, which a `Host` header says: relative addresses belong to it, and credentials go no
  // further than both this and the server that was asked.
  const meant = new URL(lastUrl);
  if (host !== undefined) meant.host = host;
  const url = new URL(location, /^\w+:/.test(location) ? lastUrl : meant);
  assertHttp(url);
  // Was meant for a proxy of the last hop.
  remove(headers, (name) => name === 'proxy-authorization');
  if (url.origin !== meant.origin || url.origin !== lastUrl.origin) {
    const names = [...CREDENTIALS, ...sensitiveHeaders(config)];
    remove(headers, (name) => names.includes(name));
  }
  if (guarded && url.origin !== first.origin) keepHarmless(headers);
  const auth = url.origin === first.origin ? first.auth : undefined;
  return withHook(
    config,
    { method, url, headers, sendsBody, auth },
    { headers: answerHeaders, statusCode: status },
    { url: lastUrl.href, method: last.method, headers: { Host: host ?? lastUrl.host, ...sent } },
  );
}

/** The next hop, as `beforeRedirect` gets to see it. */
interface NextHop {
  readonly method: string;
  readonly url: URL;
  readonly headers: HeaderMap;
  readonly sendsBody: boolean;
  readonly auth: string | undefined;
}

function assertHttp({ protocol }: URL): void {
  if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`Unsupported protocol ${protocol}`);
}

/** Lets `beforeRedirect` see and change where the call goes. */
function withHook(
  config: InternalAxiosRequestConfig,
  { method, url, headers, sendsBody, auth }: NextHop,
  response: { readonly headers: HeaderBag; readonly statusCode: number },
  request: { readonly url: string; readonly method: string; readonly headers: HeaderMap },
): HopPlan {
  const path = url.pathname + url.search;
  const { beforeRedirect } = config;
  if (typeof beforeRedirect !== 'function') {
    return toPlan(method, sendsBody, { origin: url.origin, path, auth }, headers);
  }
  const options: Record<string, unknown> = {
    href: url.href,
    protocol: url.protocol,
    host: url.host,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? '' : Number(url.port),
    pathname: url.pathname,
    search: url.search,
    hash: url.hash,
    path,
    method,
    headers,
    auth,
  };
  const details = response.headers as unknown as Record<string, string>;
  beforeRedirect(options, { headers: details, statusCode: response.statusCode }, request as never);
  if (options['agent'] !== undefined || options['agents'] !== undefined) {
    throw new DiscoveryError('UNSUPPORTED', 'beforeRedirect: an agent has no meaning for the pooled transport', {
      field: 'beforeRedirect',
    });
  }
  const hostname = String(options['hostname']);
  const given = options['port'];
  const port = (typeof given === 'string' && given !== '') || typeof given === 'number' ? `:${given}` : '';
  const changed = new URL(
    `${String(options['protocol'])}//${hostname.includes(':') ? `[${hostname}]` : hostname}${port}`,
  );
  assertHttp(changed);
  return toPlan(
    String(options['method']).toUpperCase(),
    sendsBody,
    {
      origin: changed.origin,
      path: String(options['path']),
      auth: typeof options['auth'] === 'string' && options['auth'] !== '' ? options['auth'] : undefined,
    },
    options['headers'] as HeaderMap,
  );
}

/** As in Node's client a header `Authorization` wins over `auth`. */
function toPlan(method: string, sendsBody: boolean, target: Target, headers: HeaderMap): HopPlan {
  const wire = toWire(headers);
  const hasOwn = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
  const auth = hasOwn ? undefined : target.auth;
  if (auth !== undefined) wire.push('Authorization', basic(auth));
  return { method, sendsBody, target: { ...target, auth }, headers: wire };
}

/** Names, in lower case, that the caller wants to keep from other origins. */
function sensitiveHeaders(config: InternalAxiosRequestConfig): string[] {
  const names: unknown = 'sensitiveHeaders' in config ? config.sensitiveHeaders : undefined;
  if (names === undefined || names === null) return [];
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) {
    return names.map((name: string) => name.toLowerCase());
  }
  throw new AxiosError('sensitiveHeaders must be an array of strings', AxiosError.ERR_BAD_OPTION_VALUE, config);
}

function toMap(wire: WireHeaders): HeaderMap {
  const map: HeaderMap = {};
  for (let i = 0; i + 1 < wire.length; i += 2) map[String(wire[i])] = wire[i + 1] ?? '';
  return map;
}

function toWire(map: HeaderMap): WireHeaders {
  return Object.entries(map).flatMap(([name, value]) => [name, value]);
}

/** Takes matching headers out; the last one's value comes back. */
function remove(headers: HeaderMap, matches: (lowerCaseName: string) => boolean): string | undefined {
  let value: string | undefined;
  for (const name of Object.keys(headers)) {
    if (!matches(name.toLowerCase())) continue;
    value = String(headers[name]).trim();
    delete headers[name];
  }
  return value;
}
