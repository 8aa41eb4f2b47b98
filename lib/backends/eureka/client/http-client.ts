import type { IncomingHttpHeaders } from 'node:http';
import { urlToHttpOptions } from 'node:url';
import {
  HttpClient,
  systemClock,
  withDeadline,
  withoutSecrets,
  type HttpAnswer,
  type TlsOptions,
} from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';

/** One request to a Eureka server or to a service. */
export interface EurekaHttpRequest {
  /** Without credentials: those are in the headers. */
  readonly url: string;
  readonly method: string;
  /** Names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The answer to it, complete. */
export interface EurekaHttpResponse {
  readonly status: number;
  /** What the HTTP client works with, handed out by `doService` with `returnType: 'response'`. */
  readonly rawResponse: unknown;
  readonly bodyText: string;
}

/**
 * Does HTTP requests. An own one can be given as the option `httpClient`; it need not follow the client's limits, but it
 * should.
 */
export interface EurekaHttpClient {
  /**
   * Sends `request` and reads the whole answer. Resolves with whatever status the server answered.
   *
   * @param data the body
   * @param timeoutMs the answer must be complete within this time; undefined leaves it to the client
   * @param signal gives the request up
   * @throws {@link HttpStatusError} or anything else: an {@link HttpStatusError} counts as the server's answer, all
   * else as a failed connection
   */
  request(
    request: EurekaHttpRequest,
    data?: string | Uint8Array,
    timeoutMs?: number,
    signal?: AbortSignal,
  ): Promise<EurekaHttpResponse>;
}

/** A service or a server answered with an HTTP status that is an error; from 500 on the code is `BACKEND_UNAVAILABLE`. */
export class HttpStatusError extends DiscoveryError {
  override name = 'HttpStatusError';
  /** The beginning of what it said. */
  readonly body: string;

  /** @param target who was asked what, for the message */
  constructor(
    readonly status: number,
    body: string,
    target: string,
  ) {
    const said = body.replace(/\s+/g, ' ').trim().slice(0, 200);
    // What a proxy says of a server that doesn't answer tells nothing of what the server did.
    super(
      status < 500 ? 'BACKEND_REFUSED' : 'BACKEND_UNAVAILABLE',
      `${target} answered ${status}${said === '' ? '' : `: ${said}`}`,
    );
    this.body = body.slice(0, 4096);
  }
}

/** Options of a {@link NodeHttpClient}. */
export interface NodeHttpClientOptions {
  readonly tls: TlsOptions;
  readonly connectTimeoutMs: number;
  /** The longest silence of a server, in milliseconds. */
  readonly idleTimeoutMs: number;
  readonly maxResponseBytes: number;
  readonly maxRedirects: number;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** HTTP by Node's own client, over kept connections; follows redirects. */
export class NodeHttpClient implements EurekaHttpClient {
  private readonly client: HttpClient;

  constructor(private readonly options: NodeHttpClientOptions) {
    const { tls, connectTimeoutMs, idleTimeoutMs: silenceMs, maxResponseBytes: maxBytes } = options;
    this.client = new HttpClient({
      ...{ tls, connectTimeoutMs, silenceMs, maxBytes },
      clock: systemClock,
      client: 'the Eureka client',
      connections: { maxSockets: 50, timeout: 30_000 },
    });
  }

  /** Ends all requests and connections. */
  close(): Promise<void> {
    return this.client.close();
  }

  async request(
    request: EurekaHttpRequest,
    data?: string | Uint8Array,
    timeoutMs?: number,
    signal?: AbortSignal,
  ): Promise<EurekaHttpResponse> {
    if (timeoutMs === undefined) return toResponse(await this.follow(request, data, signal));
    const follow = (cut: AbortSignal): Promise<HttpAnswer> => this.follow(request, data, cut);
    return toResponse(await withDeadline(systemClock, timeoutMs, signal, withoutSecrets(request.url), follow));
  }

  private async follow(
    request: EurekaHttpRequest,
    data: string | Uint8Array | undefined,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> {
    let current = request;
    let body = data;
    for (let redirects = 0; ; redirects += 1) {
      const { method, headers } = current;
      const answer = await this.client.send({
        ...{ method, body, signal, what: withoutSecrets(current.url), target: urlToHttpOptions(new URL(current.url)) },
        headers: { 'accept-encoding': 'gzip, deflate', ...headers },
      });
      const location = answer.headers.location;
      if (!REDIRECTS.has(answer.status) || location === undefined || this.options.maxRedirects === 0) return answer;
      if (redirects >= this.options.maxRedirects) {
        const problem = `${withoutSecrets(request.url)} redirects more than ${this.options.maxRedirects} times`;
        throw new DiscoveryError('BACKEND_UNAVAILABLE', problem);
      }
      const next = redirected(current, answer.status, location);
      if (next === undefined) return answer;
      if (next.method !== method) body = undefined;
      current = next;
    }
  }
}

/** The request that a redirect asks for; undefined when it may not be followed. */
function redirected(request: EurekaHttpRequest, status: number, location: string): EurekaHttpRequest | undefined {
  if (!URL.canParse(location, request.url)) return undefined;
  const target = new URL(location, request.url);
  if (target.protocol !== 'http:' && target.protocol !== 'https:') return undefined;
  const safe = request.method === 'GET' || request.method === 'HEAD';
  // Only 307 and 308 promise that a write stays the same write.
  const method = safe || status === 307 || status === 308 ? request.method : status === 303 ? 'GET' : undefined;
  if (method === undefined) return undefined;
  target.username = '';
  target.password = '';
  const headers = { ...request.headers };
  if (target.origin !== new URL(request.url).origin) {
    delete headers['authorization'];
    delete headers['cookie'];
  }
  return { url: target.href, method, headers };
}

/** The answer in the form that `fetch` would give, made when somebody asks for it. */
function toResponse({ status, headers, body }: HttpAnswer): EurekaHttpResponse {
  let text: string | undefined;
  let raw: Response | undefined;
  return {
    status,
    get bodyText() {
      text ??= body.toString('utf8');
      return text;
    },
    get rawResponse() {
      const empty = status === 204 || status === 205 || status === 304;
      raw ??= new Response(empty ? null : new Uint8Array(body), { status, headers: toHeaders(headers) });
      return raw;
    },
  };
}

/** Without what doesn't hold for the decompressed body any more. */
function toHeaders(headers: IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name === 'content-encoding' || name === 'content-length') continue;
    for (const one of Array.isArray(value) ? value : [value]) result.append(name, one);
  }
  return result;
}
