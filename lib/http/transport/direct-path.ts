import {
  AxiosHeaders,
  CanceledError,
  isCancel,
  type AxiosAdapter,
  type AxiosInstance,
  type AxiosRequestConfig,
  type AxiosResponse,
  type AxiosResponseTransformer,
  type InternalAxiosRequestConfig,
} from 'axios';
import type { HeaderBag } from './axios-headers.js';

type Bag = Record<string, unknown>;

/** Keys of `headers` that hold headers by method, not a header. */
const BUCKETS = new Set([
  'common',
  'delete',
  'get',
  'head',
  'options',
  'post',
  'put',
  'patch',
  'query',
  'purge',
  'link',
  'unlink',
]);

/** Objects that are taken as they are, though the defaults may hold one too. */
const NOT_MERGED = new Set(['headers', 'data', 'signal', 'cancelToken', 'httpAgent', 'httpsAgent']);

/** Params that are nested deeper are left to axios. */
const MAX_DEPTH = 10;

/** Misspelled options, for which axios's pipeline has an error. */
const MISSPELLED = new Set(['baseUrl', 'withXsrfToken']);

/**
 * The short way around axios's pipeline, for an instance without interceptors and without transforms of its own: the
 * same config, response and errors for a fraction of the work. Whether it may be taken is asked before each call, since
 * anybody who holds the instance may add an interceptor, a transform or another adapter (as mocks do) at any time.
 */
export class DirectPath {
  private readonly request0: unknown;
  private readonly adapter0: unknown;
  /** The instance's defaults as they were at the last call: copied again only when one has changed. */
  private defaults: Bag = {};
  private defaultsCount = 0;

  /** @param instance as it was made: whatever is replaced on it later turns the short way off */
  constructor(private readonly instance: AxiosInstance) {
    this.request0 = instance.request;
    this.adapter0 = instance.defaults.adapter;
  }

  /** Whether the call would come out the same without axios's pipeline. */
  isOpen(config: AxiosRequestConfig): boolean {
    const { instance } = this;
    const { defaults, interceptors } = instance;
    return (
      defaults.adapter === this.adapter0 &&
      instance.request === this.request0 &&
      isEmpty(interceptors.request) &&
      isEmpty(interceptors.response) &&
      isAxiosOwn(defaults.transformRequest, 'transformRequest') &&
      isAxiosOwn(defaults.transformResponse, 'transformResponse') &&
      isPlainConfig(config, defaults)
    );
  }

  /** Makes the call on the short way when it is open, through the instance's pipeline otherwise. */
  request<T = unknown, D = unknown>(given: AxiosRequestConfig<D>, adapter: AxiosAdapter): Promise<AxiosResponse<T, D>> {
    if (!this.isOpen(given)) return this.instance.request<T, AxiosResponse<T, D>, D>(given);
    let config: InternalAxiosRequestConfig;
    try {
      config = prepare(this.copiedDefaults(), given);
    } catch (error) {
      return Promise.reject(error);
    }
    const startedAt = performance.now();
    return adapter(config).then(
      (response) => {
        throwIfCanceled(config);
        return finish(response, config, startedAt);
      },
      (error: unknown) => {
        if (!isCancel(error)) {
          throwIfCanceled(config);
          const response = responseOf(error);
          if (response !== undefined) finish(response, config, startedAt);
        }
        throw error;
      },
    );
  }

  /** Axios's own object has no prototype, and a copy of such a one costs ten times what a look at it does. */
  private copiedDefaults(): Bag {
    const current = this.instance.defaults as unknown as Bag;
    const { defaults } = this;
    let count = 0;
    let isChanged = false;
    for (const key of Object.keys(current)) {
      count += 1;
      isChanged ||= current[key] !== defaults[key];
    }
    if (isChanged || count !== this.defaultsCount) {
      this.defaults = Object.fromEntries(Object.entries(current));
      this.defaultsCount = count;
    }
    return this.defaults;
  }
}

/** `handlers` isn't in axios's types; should it go, every call takes the pipeline. */
function isEmpty(interceptors: object): boolean {
  const { handlers } = interceptors as { readonly handlers?: unknown };
  return Array.isArray(handlers) && handlers.every((handler) => handler === null);
}

/** Whether the transforms are the one that axios comes with. */
function isAxiosOwn(transforms: unknown, name: string): boolean {
  if (!Array.isArray(transforms) || transforms.length !== 1) return false;
  const only: unknown = transforms[0];
  return typeof only === 'function' && only.name === name;
}

function isPlainConfig(config: AxiosRequestConfig, defaults: object): boolean {
  for (const key of Object.keys(config)) {
    const value = (config as Bag)[key];
    if (value === undefined) continue;
    if (value === null && (key === 'transitional' || key === 'responseType')) return false;
    if (key === 'adapter' || key === 'transformRequest' || key === 'transformResponse') return false;
    if (typeof value === 'object' && value !== null) {
      if (key === 'headers') {
        if (!isPlainHeaders(value as Bag)) return false;
      } else if (key === 'params') {
        if (!hasBottom(value, MAX_DEPTH)) return false;
      } else if (isObject((defaults as Bag)[key]) && !NOT_MERGED.has(key)) {
        return false;
      }
    } else if (MISSPELLED.has(key) || key === 'headers') {
      return false;
    }
  }
  return true;
}

/** Whether params end somewhere: those that lead around in a circle are an error of axios's pipeline. */
function hasBottom(params: object, depth: number): boolean {
  if (depth === 0) return false;
  for (const value of Object.values(params)) {
    if (typeof value === 'object' && value !== null && !hasBottom(value as object, depth - 1)) return false;
  }
  return true;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function isPlainHeaders(headers: Bag): boolean {
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return false;
  }
  return true;
}

/**
 * The prototype of the configs that adapters get. As with axios's own, an option that somebody smuggled into
 * `Object.prototype` doesn't become one of the call's. Not null itself, since objects without a prototype are slow.
 */
const BARE: object = Object.freeze(
  Object.defineProperty(Object.create(null) as object, 'hasOwnProperty', { value: Object.prototype.hasOwnProperty }),
);

/** The config that an adapter gets: defaults merged in, body transformed. */
function prepare(defaults: Bag, given: AxiosRequestConfig): InternalAxiosRequestConfig {
  const merged: Bag = Object.assign(Object.create(BARE) as Bag, defaults);
  for (const key of Object.keys(given)) {
    const value = (given as Bag)[key];
    if (value !== undefined || key === 'validateStatus') merged[key] = value;
  }
  const config = merged as unknown as InternalAxiosRequestConfig;
  const method = (own(given, 'method') ?? own(defaults, 'method') ?? 'get') as string;
  config.method = method.toLowerCase();
  merged['url'] = own(given, 'url');
  config.allowAbsoluteUrls ??= true;
  if (typeof config.paramsSerializer === 'function') {
    merged['paramsSerializer'] = { serialize: config.paramsSerializer as unknown };
  }
  throwIfCanceled(config);
  const headers = mergeHeaders(defaults['headers'] as Bag, config.method, own(given, 'headers'));
  config.headers = headers;
  config.data = transformRequest(config, headers, own(given, 'data'));
  if (config.method === 'post' || config.method === 'put' || config.method === 'patch') {
    headers.setContentType('application/x-www-form-urlencoded', false);
  }
  return config;
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Bag)[key] : undefined;
}

function mergeHeaders(defaults: Bag, method: string, given: unknown): HeaderBag {
  const headers = new AxiosHeaders();
  const target = headers as unknown as Bag;
  const common = own(defaults, 'common');
  // The first ones can't meet others: no need for axios's search through all names.
  if (typeof common === 'object' && common !== null) {
    for (const name of Object.keys(common)) {
      const value = (common as Bag)[name];
      if (typeof value === 'string' && !(name in headers)) target[name] = value;
      else headers.set(name, value as string);
    }
  }
  setAll(headers, own(defaults, method));
  for (const name of Object.keys(defaults)) {
    if (!BUCKETS.has(name)) headers.set(name, defaults[name] as string);
  }
  setAll(headers, given);
  return headers;
}

function setAll(headers: HeaderBag, values: unknown): void {
  if (typeof values !== 'object' || values === null) return;
  for (const name of Object.keys(values)) {
    const value = (values as Bag)[name];
    if (value !== undefined) headers.set(name, value as string);
  }
}

/** Axios's own transform, with a short cut for no body and for plain objects. */
function transformRequest(config: InternalAxiosRequestConfig, headers: HeaderBag, data: unknown): unknown {
  if (data === undefined) return undefined;
  if (isPlainData(data) && headers['Content-Type'] === undefined && !headers.hasContentType()) {
    headers['Content-Type'] = 'application/json';
    return JSON.stringify(data);
  }
  const [transform] = config.transformRequest as AxiosRequestTransformers;
  return transform.call(config, data, headers);
}

type AxiosRequestTransformers = [(this: InternalAxiosRequestConfig, data: unknown, headers: HeaderBag) => unknown];

/** An array or a bare object that axios can't take for a form or a stream. */
function isPlainData(data: unknown): data is object {
  if (typeof data !== 'object' || data === null) return false;
  if (Array.isArray(data)) return true;
  if (Object.getPrototypeOf(data) !== Object.prototype) return false;
  return !('pipe' in data || 'append' in data || Symbol.toStringTag in data);
}

function responseOf(error: unknown): AxiosResponse | undefined {
  return error instanceof Error && 'response' in error ? (error.response as AxiosResponse | undefined) : undefined;
}

function finish<T>(response: AxiosResponse, config: InternalAxiosRequestConfig, startedAt: number): AxiosResponse<T> {
  response.duration = Math.max(0, Math.round(performance.now() - startedAt));
  const { data } = response as { readonly data: unknown };
  if (typeof data === 'string' && data !== '') response.data = parse(data, response, config);
  if (!(response.headers instanceof AxiosHeaders)) response.headers = new AxiosHeaders(response.headers as never);
  return response;
}

/** Axios's own transform: JSON when it is JSON, or an error when JSON was asked for. */
function parse(data: string, response: AxiosResponse, config: InternalAxiosRequestConfig): unknown {
  const { responseType, transitional } = config;
  const asked = responseType === 'json';
  const forced = transitional === undefined || transitional.forcedJSONParsing === true;
  if (!asked && (!forced || (responseType !== undefined && (responseType as string) !== ''))) return data;
  const { parseReviver } = config as { readonly parseReviver?: (key: string, value: unknown) => unknown };
  if (mayBeJson(data)) {
    try {
      return JSON.parse(data, parseReviver);
    } catch {
      if (!asked) return data;
    }
  } else if (!asked) {
    return data;
  }
  // The error, in axios's own words.
  const [transform] = config.transformResponse as [AxiosResponseTransformer];
  const holder = config as { response?: AxiosResponse };
  holder.response = response;
  try {
    return transform.call(config, data, response.headers as HeaderBag, response.status) as unknown;
  } finally {
    delete holder.response;
  }
}

/** By the first character that counts, since a parser's exception costs more than a whole call's other work. */
function mayBeJson(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 32 || code === 10 || code === 13 || code === 9) continue;
    // { [ " - t f n and digits
    return (
      code === 123 ||
      code === 91 ||
      code === 34 ||
      code === 45 ||
      (code >= 48 && code <= 57) ||
      code === 116 ||
      code === 102 ||
      code === 110
    );
  }
  return false;
}

function throwIfCanceled(config: InternalAxiosRequestConfig): void {
  config.cancelToken?.throwIfRequested();
  if (config.signal?.aborted === true) throw new CanceledError(undefined, config);
}
