import axios, {
  type AxiosInstance,
  type AxiosRequestTransformer,
  type AxiosResponse,
  type CreateAxiosDefaults,
  type GenericAbortSignal,
} from 'axios';
import { Observable } from 'rxjs';
import type { ServiceInstance } from '../model/index.js';
import { serviceUrl } from './address.js';
import type { ServiceRequestConfig } from './call-options.js';
import type { InstanceStats } from './instance-stats.js';
import type { ServiceCaller } from './service-caller.js';
import type { DispatchHandler, DispatchOptions, ServiceFetchFunction } from './dispatch/index.js';
import { CallSignal, DirectPath, isUntyped } from './transport/index.js';

/** The methods that calls without a body are made with. */
type Plain = 'get' | 'delete' | 'head' | 'options';
/** Those with one, and those that send it as a form. */
type WithBody = 'post' | 'put' | 'patch';
type WithForm = 'postForm' | 'putForm' | 'patchForm';

/**
 * The HTTP client, in the shape of Nest's `HttpService`. Bound to a service (`@DiscoverableClient('STOCK')`) its paths
 * are that service's, and no others unless `allowAbsoluteUrls` is set; the unbound one calls any service as `lb://STOCK/quote`.
 * Its other URLs go where they say.
 *
 * A call starts when its Observable is subscribed to and is aborted when it is unsubscribed from. Errors are axios's;
 * those of failed connections carry `attempts`. When there is nobody to call, the error is a `NoInstanceError` or a
 * `NoSnapshotError`.
 *
 * The clients of one service with equal options are one client, wherever they are injected, and so is its `axiosRef`: an
 * interceptor that one class adds acts on the calls of all of them.
 */
export class ServiceHttpClient {
  /** The axios instance behind it: for promises, interceptors and defaults. */
  readonly axiosRef: AxiosInstance;
  /**
   * Node's own `fetch`, to the service: `stock.fetch('/quote')`, or on the unbound client `fetch('lb://STOCK/quote')`. The
   * instance is picked, counted and, as long as the body can be sent again, tried elsewhere as for any other call; streams go
   * both ways. Axios's interceptors and defaults have no part in it. May be handed on as it is, to whatever takes a `fetch`.
   */
  readonly fetch: ServiceFetchFunction;
  private readonly directPath: DirectPath;
  /** The axios instance's methods as they were made. */
  private readonly methods: ReadonlyMap<string, unknown>;

  /**
   * @internal Made by the module.
   * @param service the service that relative paths belong to; undefined for the unbound client
   */
  constructor(
    private readonly caller: ServiceCaller,
    readonly service: string | undefined,
    defaults: CreateAxiosDefaults = {},
  ) {
    this.axiosRef = axios.create({
      ...(service === undefined ? {} : { baseURL: serviceUrl(service) }),
      ...defaults,
      adapter: caller.adapter,
    });
    // Axios's own says that there is no limit: so that a caller who says so can be told from one who says nothing.
    if (defaults.maxContentLength === undefined) delete this.axiosRef.defaults.maxContentLength;
    const [transform, ...more] = asList(this.axiosRef.defaults.transformRequest);
    if (defaults.transformRequest === undefined && transform !== undefined && more.length === 0) {
      this.axiosRef.defaults.transformRequest = [withoutMadeUpType(transform)];
    }
    this.directPath = new DirectPath(this.axiosRef);
    this.fetch = caller.fetch;
    this.methods = new Map(Object.entries(this.axiosRef));
  }

  /** @internal For dispatchers of undici's: sends a request to the service that its origin names. */
  dispatch(request: DispatchOptions, handler: DispatchHandler): boolean {
    return this.caller.dispatching.dispatch(request, handler);
  }

  /** Opens the watch of the bound service now, rather than with the first call. */
  warmUp(): void {
    if (this.service !== undefined) this.caller.warmUp(this.service);
  }

  /**
   * For calls that are not HTTP, or not axios's: gives `walker` the URL of one instance after the other until it succeeds.
   * The instances are picked, and left out when they fail, as for any other call.
   *
   * @param service the service to call
   * @param walker makes the call. When that fails (no connection, a broken one, a time-out, an HTTP error: as axios, `fetch`,
   * Node and gRPC throw them) it is given the next instance; whatever else it throws is thrown as it is
   * @returns what the walker returned
   * @throws what the call failed by last, with `attempts`, when every instance was tried; NoInstanceError, NoSnapshotError
   */
  walkNodes<T>(service: string, walker: (url: string, instance: ServiceInstance) => Promise<T> | T): Promise<T> {
    return this.caller.walk(service, walker);
  }

  /**
   * Lets an axios instance of your own call services as `lb://STOCK/path`, balanced and failing over; its interceptors,
   * defaults and transforms stay. Other URLs go where they say.
   *
   * @returns the instance
   */
  discoverable<T extends AxiosInstance>(instance: T): T {
    instance.defaults.adapter = this.caller.openAdapter;
    return instance;
  }

  /**
   * What this app has seen of a service's instances, whoever called them; empty before the first call, and when the service
   * wasn't called for so long that its watch is closed.
   *
   * @param service @default the bound service; for the unbound client all that are watched
   */
  instanceStats(service: string | undefined = this.service): readonly InstanceStats[] {
    return this.caller.instanceStats(service);
  }

  /** Calls what `config` says: `method`, `url`, `data`, and all that axios and {@link CallOptions} know of one call. */
  request<T = unknown, D = unknown>(config: ServiceRequestConfig<D>): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (signal) => this.directPath.request<T, D>({ ...config, signal }, this.caller.adapter));
  }

  /** GET: an Observable of the answer; the call is made when it is subscribed to, and aborted with the subscription. */
  get<T = unknown, D = unknown>(url: string, config?: ServiceRequestConfig<D>): Observable<AxiosResponse<T, D>> {
    return this.plain('get', url, config);
  }

  /** DELETE, as {@link get}. */
  delete<T = unknown, D = unknown>(url: string, config?: ServiceRequestConfig<D>): Observable<AxiosResponse<T, D>> {
    return this.plain('delete', url, config);
  }

  /** HEAD, as {@link get}. */
  head<T = unknown, D = unknown>(url: string, config?: ServiceRequestConfig<D>): Observable<AxiosResponse<T, D>> {
    return this.plain('head', url, config);
  }

  /** OPTIONS, as {@link get}. */
  options<T = unknown, D = unknown>(url: string, config?: ServiceRequestConfig<D>): Observable<AxiosResponse<T, D>> {
    return this.plain('options', url, config);
  }

  /** POST with a body, as {@link get}; it is sent to another instance only when it surely was not sent to the first. */
  post<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.withBody('post', url, data, config);
  }

  /** PUT with a body, as {@link get}. */
  put<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.withBody('put', url, data, config);
  }

  /** PATCH with a body, as {@link post}. */
  patch<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.withBody('patch', url, data, config);
  }

  /** POST of a form (`multipart/form-data`), as {@link post}. */
  postForm<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.withForm('postForm', url, data, config);
  }

  /** PUT of a form, as {@link put}. */
  putForm<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.withForm('putForm', url, data, config);
  }

  /** PATCH of a form, as {@link post}. */
  patchForm<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.withForm('patchForm', url, data, config);
  }

  private plain<T, D>(method: Plain, url: string, config?: ServiceRequestConfig<D>): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (signal) =>
      this.isReplaced(method)
        ? this.axiosRef[method]<T, AxiosResponse<T, D>, D>(url, { ...config, signal })
        : this.directPath.request<T, D>({ ...config, method, url, signal }, this.caller.adapter),
    );
  }

  private withBody<T, D>(
    method: WithBody,
    url: string,
    data: D | undefined,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (signal) =>
      this.isReplaced(method)
        ? this.axiosRef[method]<T, AxiosResponse<T, D>, D>(url, data, { ...config, signal })
        : this.directPath.request<T, D>({ ...config, method, url, data: data as D, signal }, this.caller.adapter),
    );
  }

  private withForm<T, D>(
    method: WithForm,
    url: string,
    data: D | undefined,
    config?: ServiceRequestConfig<D>,
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (signal) =>
      this.axiosRef[method]<T, AxiosResponse<T, D>, D>(url, data, { ...config, signal }),
    );
  }

  /** Whether somebody, a test say, has put a function of his own on the axios instance. */
  private isReplaced(method: Plain | WithBody): boolean {
    return Reflect.get(this.axiosRef, method) !== this.methods.get(method);
  }

  private observe<T, D>(
    config: ServiceRequestConfig<D> | undefined,
    call: (signal: GenericAbortSignal) => Promise<AxiosResponse<T, D>>,
  ): Observable<AxiosResponse<T, D>> {
    return new Observable((subscriber) => {
      // Whoever brings a signal keeps the say over it.
      const { signal = new CallSignal() } = config ?? {};
      let isOver = false;
      call(signal).then(
        (response) => {
          isOver = true;
          subscriber.next(response);
          subscriber.complete();
        },
        (error: unknown) => {
          isOver = true;
          subscriber.error(error);
        },
      );
      return () => {
        // A stream is still being read after the response was emitted.
        if (!isOver && signal instanceof CallSignal) signal.abort();
      };
    });
  }
}

/**
 * Axios's transform, but nothing is made up for a stream or bytes whose type isn't given: what passes on a body that it got
 * would call it a form. The name is that of axios's, which keeps the short way open.
 */
function withoutMadeUpType(own: AxiosRequestTransformer): AxiosRequestTransformer {
  return function transformRequest(data, headers) {
    const body: unknown = own.call(this, data, headers);
    if (isUntyped(body) && !headers.hasContentType()) headers.setContentType(false);
    return body;
  };
}

function asList<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/**
 * Lets any axios instance call services as `lb://STOCK/path`, and whatever addresses the backends resolve: as
 * {@link ServiceHttpClient.discoverable}.
 *
 * @param instance keeps its interceptors, defaults and transforms
 * @param client through which it calls: the injected, unbound `ServiceHttpClient`
 * @returns the instance
 */
export function discoverable<T extends AxiosInstance>(instance: T, client: ServiceHttpClient): T {
  return client.discoverable(instance);
}
