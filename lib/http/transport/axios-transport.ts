import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import axios, {
  AxiosError,
  AxiosHeaders,
  type AxiosAdapter,
  type AxiosResponse,
  type InternalAxiosRequestConfig,
} from 'axios';
import { DEFAULT_MAX_CONTENT_LENGTH, hasDefaultLimit, tooLargeMessage } from './content-limit.js';
import type { Destination, HttpTransport, Redirects } from './http-transport.js';
import { isForm } from './form-data.js';
import { assertSameOrigin, keepHarmless } from './redirect.js';
import { borrowed, isStream, StreamSource } from './stream-source.js';
import { resolveTransportOptions, type TransportOptions } from './transport.options.js';

/**
 * Axios's own Node adapter with keep-alive agents. Several times as much work per call as the pooled transport, but the
 * one that HTTP mocks such as nock see, and the one that understands `httpAgent`, `proxy`, `socketPath`, `lookup` …
 */
export class AxiosTransport implements HttpTransport {
  private readonly adapter: AxiosAdapter = axios.getAdapter('http');
  private readonly httpAgent: HttpAgent;
  private readonly httpsAgent: HttpsAgent;
  private readonly useEnvironmentProxy: boolean;

  constructor(options: TransportOptions = {}) {
    const { maxConnectionsPerOrigin, tls, useEnvironmentProxy } = resolveTransportOptions(options);
    this.httpAgent = new HttpAgent({ keepAlive: true, maxSockets: maxConnectionsPerOrigin });
    this.httpsAgent = new HttpsAgent({ ...tls, keepAlive: true, maxSockets: maxConnectionsPerOrigin });
    this.useEnvironmentProxy = useEnvironmentProxy;
  }

  async send(config: InternalAxiosRequestConfig, destination?: Destination): Promise<AxiosResponse> {
    const sent = this.prepare(config, destination);
    const lent = lentBody(config.data);
    const isLimited = hasDefaultLimit(config);
    if (isLimited) sent.maxContentLength = DEFAULT_MAX_CONTENT_LENGTH;
    if (lent !== undefined) sent.data = lent;
    try {
      return await this.adapter(sent);
    } catch (error) {
      lent?.destroy();
      if (isLimited && error instanceof AxiosError && error.message === TOO_LARGE)
        error.message = tooLargeMessage(config);
      throw error;
    }
  }

  private prepare(config: InternalAxiosRequestConfig, destination?: Destination): InternalAxiosRequestConfig {
    const { headers } = config;
    const agents = {
      httpAgent: config.httpAgent ?? this.httpAgent,
      httpsAgent: config.httpsAgent ?? this.httpsAgent,
      ...(config.proxy === undefined && !this.useEnvironmentProxy ? { proxy: false as const } : {}),
    };
    if (destination === undefined) return { ...config, ...agents };
    // A copy for each try: axios's adapter changes the headers that it is given.
    const copy = new AxiosHeaders(headers);
    for (const [name, value] of Object.entries(destination.headers ?? {})) copy.set(name, value, false);
    const { url, timeoutMs, redirects } = destination;
    return {
      ...config,
      ...agents,
      headers: copy,
      ...(url === undefined ? {} : { url, baseURL: '' }),
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
      ...(redirects === undefined || url === undefined ? {} : redirectOptions(config, url, redirects)),
    };
  }

  /** Nothing to do: an agent's idle sockets close by themselves. */
  release(): void {}

  async warmUp(): Promise<void> {}

  async close(): Promise<void> {
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
  }
}

/** A stream in the place of the caller's, which axios destroys at times. */
function lentBody(data: unknown): Readable | undefined {
  if (!isStream(data)) return undefined;
  if (!isForm(data)) return borrowed(data);
  // Axios asks it for headers and its length. It was made for this call, and nobody else reads it.
  StreamSource.of(data).giveAway();
  return undefined;
}

/** What axios says of too many bytes. */
const TOO_LARGE = `maxContentLength size of ${DEFAULT_MAX_CONTENT_LENGTH} exceeded`;

/** What makes axios's adapter follow these redirects only. */
function redirectOptions(
  config: InternalAxiosRequestConfig,
  url: string,
  redirects: Redirects,
): Pick<InternalAxiosRequestConfig, 'maxRedirects' | 'beforeRedirect'> {
  if (redirects === 'none') return { maxRedirects: 0 };
  const { origin } = new URL(url);
  const { beforeRedirect } = config;
  return {
    beforeRedirect: (options, response, request, ...more) => {
      // The hop's address: behind a proxy `hostname` and `port` are the proxy's.
      const to = new URL(String(options['href'])).origin;
      if (redirects === 'any' && to !== origin) {
        keepHarmless(options.headers);
        delete options['auth'];
      }
      const hop = addressOf(options);
      beforeRedirect?.(options, response, request, ...more);
      if (redirects === 'same-origin') assertSameOrigin(origin, addressOf(options) === hop ? to : addressOf(options));
    },
  };
}

/** The origin that a redirected request is sent to. */
function addressOf({ protocol, hostname, port }: Record<string, unknown>): string {
  const host = String(hostname);
  const url = `${String(protocol)}//${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}`;
  return new URL(typeof port === 'number' || (typeof port === 'string' && port !== '') ? `${url}:${port}` : url).origin;
}
