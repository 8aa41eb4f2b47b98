import * as http from 'node:http';
import * as https from 'node:https';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { withoutSecrets } from '../../../backend/index.js';
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

/** Options of TLS connections, as Node's own. */
export interface EurekaTlsOptions {
  /** Certificate authorities to trust instead of the usual ones, as PEM: also a self-signed certificate. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** The client's certificate, as PEM. */
  readonly cert?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** The client's private key, as PEM. */
  readonly key?: string | Uint8Array | readonly (string | Uint8Array)[];
  readonly passphrase?: string;
  /** False trusts any certificate: for tests. @default true */
  readonly rejectUnauthorized?: boolean;
  /** The name that the server's certificate must have. @default the host's */
  readonly servername?: string;
}

/** A service or a server answered with an HTTP status that is an error. */
export class HttpStatusError extends DiscoveryError {
  /** The beginning of what it said. */
  readonly body: string;

  /** @param target who was asked what, for the message */
  constructor(
    readonly status: number,
    body: string,
    target: string,
  ) {
    const said = body.replace(/\s+/g, ' ').trim().slice(0, 200);
    super('BACKEND_REFUSED', `${target} answered ${status}${said === '' ? '' : `: ${said}`}`);
    this.body = body.slice(0, 4096);
  }
}

/** Options of a {@link NodeHttpClient}. */
export interface NodeHttpClientOptions {
  readonly tls: EurekaTlsOptions;
  readonly connectTimeoutMs: number;
  /** The longest silence of a server, where a request names no time limit. */
  readonly idleTimeoutMs: number;
  readonly maxResponseBytes: number;
  readonly maxRedirects: number;
}

/** What one exchange gave. */
interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

type Body = string | Uint8Array | undefined;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** HTTP by Node's own client, over kept connections; every answer is bounded in size and time. */
export class NodeHttpClient implements EurekaHttpClient {
  private readonly plain: http.Agent;
  private readonly secure: https.Agent;

  constructor(private readonly options: NodeHttpClientOptions) {
    const pooled = { keepAlive: true, maxSockets: 50, maxFreeSockets: 8, timeout: 30_000 };
    const { ca, cert, key, passphrase, rejectUnauthorized, servername } = options.tls;
    this.plain = new http.Agent(pooled);
    this.secure = new https.Agent({
      ...pooled,
      ...(ca === undefined ? {} : { ca: toPem(ca) }),
      ...(cert === undefined ? {} : { cert: toPem(cert) }),
      ...(key === undefined ? {} : { key: toPem(key) }),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
      ...(servername === undefined ? {} : { servername }),
    });
  }

  /** Closes the connections that are kept. */
  close(): void {
    this.plain.destroy();
    this.secure.destroy();
  }

  async request(
    request: EurekaHttpRequest,
    data?: string | Uint8Array,
    timeoutMs?: number,
    signal?: AbortSignal,
  ): Promise<EurekaHttpResponse> {
    const total = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    const signals = [signal, total].filter((one) => one !== undefined);
    const either = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    try {
      return toResponse(await this.follow(request, data, timeoutMs ?? this.options.idleTimeoutMs, either));
    } catch (error) {
      if (total?.aborted === true && signal?.aborted !== true) {
        throw failure('TIMEOUT', request.url, `took longer than ${timeoutMs} ms`, error);
      }
      throw error;
    }
  }

  private async follow(
    request: EurekaHttpRequest,
    data: Body,
    idleTimeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    let current = request;
    let body = data;
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.sendOnce(current, body, idleTimeoutMs, signal);
      const location = answer.headers.location;
      if (!REDIRECTS.has(answer.status) || location === undefined || this.options.maxRedirects === 0) return answer;
      if (redirects >= this.options.maxRedirects) {
        throw failure('BACKEND_UNAVAILABLE', request.url, `redirects more than ${this.options.maxRedirects} times`);
      }
      const next = redirected(current, answer.status, location);
      if (next === undefined) return answer;
      if (next.method !== current.method) body = undefined;
      current = next;
    }
  }

  /** A kept connection that the server closed at this very moment says nothing about the server: one more try. */
  private async sendOnce(
    request: EurekaHttpRequest,
    data: Body,
    idleTimeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    try {
      return await this.exchange(request, data, idleTimeoutMs, signal);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return this.exchange(request, data, idleTimeoutMs, signal).catch((again: unknown) => {
        throw again instanceof StaleConnection ? again.cause : again;
      });
    }
  }

  private exchange(
    request: EurekaHttpRequest,
    data: Body,
    idleTimeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { connectTimeoutMs } = this.options;
      const url = new URL(request.url);
      const isSecure = url.protocol === 'https:';
      const length = data === undefined ? undefined : Buffer.byteLength(data);
      const sent = (isSecure ? https : http).request(url, {
        method: request.method,
        headers: {
          'accept-encoding': 'gzip, deflate',
          ...request.headers,
          ...(length === undefined ? {} : { 'content-length': String(length) }),
        },
        agent: isSecure ? this.secure : this.plain,
        ...(signal === undefined ? {} : { signal }),
      });
      const fail = (code: 'TIMEOUT' | 'BACKEND_UNAVAILABLE', problem: string): void =>
        void sent.destroy(failure(code, request.url, problem));
      let answered = false;
      let connecting: NodeJS.Timeout | undefined;
      sent.setTimeout(idleTimeoutMs, () => fail('TIMEOUT', `was silent for ${idleTimeoutMs} ms`));
      sent.on('socket', (socket) => {
        if (!socket.connecting) return;
        connecting = setTimeout(
          () => fail('TIMEOUT', `could not be connected to within ${connectTimeoutMs} ms`),
          connectTimeoutMs,
        );
        socket.once(isSecure ? 'secureConnect' : 'connect', () => clearTimeout(connecting));
      });
      sent.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(connecting);
        const stale = !answered && sent.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        reject(stale ? new StaleConnection(error) : error);
      });
      sent.on('response', (response) => {
        answered = true;
        this.readBody(response, request.url, (problem) => fail('BACKEND_UNAVAILABLE', problem)).then(
          (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
          reject,
        );
      });
      sent.on('close', () => clearTimeout(connecting));
      sent.end(data);
    });
  }

  /** Reads, decompresses and counts: what is too long is cut off at the limit, however small it was on the wire. */
  private readBody(response: http.IncomingMessage, url: string, cutOff: (problem: string) => void): Promise<Buffer> {
    const { maxResponseBytes } = this.options;
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const stream = decompressed(response);
      const stop = (problem: string): void => {
        chunks.length = 0;
        cutOff(problem);
        if (stream !== response) stream.destroy();
        reject(failure('BACKEND_UNAVAILABLE', url, problem));
      };
      stream.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxResponseBytes) return stop(`answered more than ${maxResponseBytes} bytes`);
        chunks.push(chunk);
      });
      stream.on('end', () => resolve(Buffer.concat(chunks, size)));
      stream.on('error', (error: Error) => {
        response.destroy();
        reject(failure('BACKEND_UNAVAILABLE', url, `gave an answer that can't be read (${error.message})`, error));
      });
      const ended = (): void => stop('ended the connection in the middle of its answer');
      response.on('aborted', ended);
      if (stream !== response) response.on('error', reject);
    });
  }
}

/** A connection that had been kept and was closed by the server when it was used again. */
class StaleConnection extends Error {
  constructor(override readonly cause: Error) {
    super(cause.message);
  }
}

function decompressed(response: http.IncomingMessage): Readable {
  switch (response.headers['content-encoding']?.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return response.pipe(createGunzip());
    case 'deflate':
      return response.pipe(createInflate());
    case 'br':
      return response.pipe(createBrotliDecompress());
    default:
      return response;
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
function toResponse({ status, headers, body }: Answer): EurekaHttpResponse {
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
function toHeaders(headers: http.IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name === 'content-encoding' || name === 'content-length') continue;
    for (const one of Array.isArray(value) ? value : [value]) result.append(name, one);
  }
  return result;
}

function toPem(pem: NonNullable<EurekaTlsOptions['ca']>): (string | Buffer)[] {
  const list = typeof pem === 'string' || pem instanceof Uint8Array ? [pem] : pem;
  return list.map((one) => (typeof one === 'string' ? one : Buffer.from(one)));
}

function failure(
  code: 'TIMEOUT' | 'BACKEND_UNAVAILABLE',
  url: string,
  problem: string,
  cause?: unknown,
): DiscoveryError {
  return new DiscoveryError(code, `${withoutSecrets(url)} ${problem}`, cause === undefined ? {} : { cause });
}
