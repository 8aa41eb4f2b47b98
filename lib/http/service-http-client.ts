import axios, {
  type AxiosInstance,
  type AxiosRequestConfig,
  type AxiosResponse,
  type CreateAxiosDefaults,
} from 'axios';
import { Observable } from 'rxjs';
import type { ServiceInstance } from '../model/index.js';
import { serviceUrl } from './address.js';
import type { ServiceCaller } from './service-caller.js';

/**
 * The HTTP client, in the shape of Nest's `HttpService`. Bound to a service (`@DiscoverableClient('STOCK')`) its paths
 * are that service's; the unbound one calls any service as `lb://STOCK/quote`. Other URLs go where they say.
 *
 * A call starts when its Observable is subscribed to and is aborted when it is unsubscribed from. Errors are axios's;
 * those of failed connections carry `attempts`. When there is nobody to call, the error is a `NoInstanceError` or a
 * `NoSnapshotError`.
 */
export class ServiceHttpClient {
  /** The axios instance behind it: for promises, interceptors and defaults. */
  readonly axiosRef: AxiosInstance;

  /** @param service the service that relative paths belong to; undefined for the unbound client */
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
   * @param walker makes the call; whatever it throws sends it to the next instance
   * @returns what the walker returned
   * @throws what the walker threw last, with `attempts`, when every instance was tried; NoInstanceError, NoSnapshotError
   */
  walkNodes<T>(service: string, walker: (url: string, instance: ServiceInstance) => Promise<T> | T): Promise<T> {
    return this.caller.walk(service, (url, { instance }) => walker(url, instance));
  }

  /**
   * Lets an axios instance of your own call services as `lb://STOCK/path`, balanced and failing over; its interceptors,
   * defaults and transforms stay. Other URLs go where they say.
   *
   * @returns the instance
   */
  discoverable<T extends AxiosInstance>(instance: T): T {
    instance.defaults.adapter = this.caller.adapter;
    return instance;
  }

  request<T = unknown, D = unknown>(config: AxiosRequestConfig<D>): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.request<T, AxiosResponse<T, D>, D>(bound));
  }

  get<T = unknown, D = unknown>(url: string, config: AxiosRequestConfig<D> = {}): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.get<T, AxiosResponse<T, D>, D>(url, bound));
  }

  delete<T = unknown, D = unknown>(url: string, config: AxiosRequestConfig<D> = {}): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.delete<T, AxiosResponse<T, D>, D>(url, bound));
  }

  head<T = unknown, D = unknown>(url: string, config: AxiosRequestConfig<D> = {}): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.head<T, AxiosResponse<T, D>, D>(url, bound));
  }

  options<T = unknown, D = unknown>(url: string, config: AxiosRequestConfig<D> = {}): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.options<T, AxiosResponse<T, D>, D>(url, bound));
  }

  post<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config: AxiosRequestConfig<D> = {},
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.post<T, AxiosResponse<T, D>, D>(url, data, bound));
  }

  put<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config: AxiosRequestConfig<D> = {},
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.put<T, AxiosResponse<T, D>, D>(url, data, bound));
  }

  patch<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config: AxiosRequestConfig<D> = {},
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.patch<T, AxiosResponse<T, D>, D>(url, data, bound));
  }

  postForm<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config: AxiosRequestConfig<D> = {},
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.postForm<T, AxiosResponse<T, D>, D>(url, data, bound));
  }

  putForm<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config: AxiosRequestConfig<D> = {},
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.putForm<T, AxiosResponse<T, D>, D>(url, data, bound));
  }

  patchForm<T = unknown, D = unknown>(
    url: string,
    data?: D,
    config: AxiosRequestConfig<D> = {},
  ): Observable<AxiosResponse<T, D>> {
    return this.observe(config, (bound) => this.axiosRef.patchForm<T, AxiosResponse<T, D>, D>(url, data, bound));
  }

  private observe<T, D>(
    config: AxiosRequestConfig<D>,
    call: (config: AxiosRequestConfig<D>) => Promise<AxiosResponse<T, D>>,
  ): Observable<AxiosResponse<T, D>> {
    return new Observable((subscriber) => {
      // Whoever brings a signal keeps the say over it.
      const controller = config.signal === undefined ? new AbortController() : undefined;
      call(controller === undefined ? config : { ...config, signal: controller.signal }).then(
        (response) => {
          subscriber.next(response);
          subscriber.complete();
        },
        (error: unknown) => subscriber.error(error),
      );
      return () => {
        // A stream is still being read after the response was emitted.
        if (config.responseType !== 'stream') controller?.abort();
      };
    });
  }
}
