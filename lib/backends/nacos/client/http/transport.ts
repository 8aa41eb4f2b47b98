import { urlToHttpOptions } from 'node:url';
import { HttpClient, withoutSecrets, type Clock, type TlsOptions } from '../../../../backend/index.js';
import { DiscoveryError, printable } from '../../../../model/index.js';
import { unavailable } from '../errors.js';
import { tunnel, viaProxy } from './proxy.js';

/** One HTTP request. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';
  readonly url: string;
  /** Sent in the query of GET and DELETE, else as a form. */
  readonly params?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** What a server answered, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
}

/** Options of an {@link HttpTransport}. */
export interface HttpTransportOptions {
  readonly clock: Clock;
  readonly tls?: TlsOptions | undefined;
  /** Proxy of each scheme: `{ http: 'http://10.0.0.1:3128' }`. */
  readonly proxies?: () => Readonly<Partial<Record<'http' | 'https', string>>>;
  /** Hears of everything that goes over the wire, without secrets. */
  readonly debug?: (line: string) => void;
  /** Told after every request: undefined for an answer, or what it failed with. */
  readonly onResult?: (error: unknown) => void;
}

/** A longer answer is an error, in bytes. */
const MAX_BYTES = 100 * 1024 * 1024;

/** Sends HTTP requests, through a proxy if need be, over connections that are kept until it is closed. */
export class HttpTransport {
  private readonly client: HttpClient;

  constructor(private readonly options: HttpTransportOptions) {
    const { clock, tls } = options;
    const connections = { maxFreeSockets: 2 };
    this.client = new HttpClient({ clock, client: 'the Nacos client', tls, maxBytes: MAX_BYTES, connections });
  }

  /**
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` when there was no answer in time, `ABORTED`, `BACKEND_CLOSED`
   */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    const what = `${request.method} ${withoutSecrets(request.url)}`;
    try {
      const answer = await this.send(request, what);
      this.options.debug?.(printable(`${what}: ${answer.status}, ${answer.text.length} characters`));
      this.options.onResult?.(undefined);
      return answer;
    } catch (error) {
      const failure = failureOf(error, what);
      this.options.debug?.(
        printable(failure.message.startsWith(what) ? failure.message : `${what}: ${failure.message}`),
      );
      if (failure.code !== 'ABORTED' && failure.code !== 'BACKEND_CLOSED') this.options.onResult?.(error);
      throw failure;
    }
  }

  /** Ends every request and connection. */
  close(): Promise<void> {
    return this.client.close();
  }

  private async send(request: HttpRequest, what: string): Promise<HttpAnswer> {
    const { method, timeoutMs, signal } = request;
    const inQuery = method === 'GET' || method === 'DELETE';
    const form = encodeForm(request.params ?? {});
    const url = new URL(inQuery && form !== '' ? `${request.url}?${form}` : request.url);
    const secure = url.protocol === 'https:';
    const proxy = this.options.proxies?.()[secure ? 'https' : 'http'];
    const plain = proxy === undefined || secure ? undefined : viaProxy(proxy, url);
    try {
      const { status, headers, body } = await this.client.send({
        method,
        what,
        timeoutMs,
        signal,
        target: plain?.target ?? urlToHttpOptions(url),
        headers: {
          ...request.headers,
          ...(inQuery ? {} : { 'Content-Type': 'application/x-www-form-urlencoded;charset=utf-8' }),
          ...plain?.headers,
        },
        body: inQuery ? undefined : form,
        connect: proxy !== undefined && secure ? (cut, tls) => tunnel(proxy, url, cut, tls) : undefined,
      });
      return { status, headers, text: body.toString('utf8') };
    } catch (error) {
      if (hasStatusZero(error)) return { status: 403, headers: {}, text: '' };
      throw error;
    }
  }
}

/** Whoever asks a server knows one failure of it: there was no answer. */
function failureOf(error: unknown, what: string): DiscoveryError {
  if (error instanceof DiscoveryError && error.code === 'TIMEOUT') {
    return new DiscoveryError('BACKEND_UNAVAILABLE', error.message, { cause: error });
  }
  return unavailable(what, error);
}

/** `key=value&…` of what isn't undefined. */
export function encodeForm(params: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(params)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${encodeURIComponent(key)}=${encodeURIComponent(value)}`]))
    .join('&');
}

/** Servers of 2.x answer a wrong password with the status 0, which no HTTP parser takes. They mean 403. */
function hasStatusZero(error: unknown): boolean {
  if (!(error instanceof Error) || !('rawPacket' in error) || !Buffer.isBuffer(error.rawPacket)) return false;
  return /^HTTP\/1\.[01] 0[ \r]/.test(error.rawPacket.toString('latin1', 0, 16));
}
