import http, { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https, { type AgentOptions, type RequestOptions } from 'node:https';
import type { Duplex, Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { codeOf, DiscoveryError, messageOf } from '../../model/index.js';
import type { Clock, Timer } from '../port/clock.js';
import { withDeadline } from './deadline.js';
import { readTls, type TlsMaterial, type TlsOptions } from './tls.js';
import { conceal } from './conceal.js';
import { requestChannel, type RequestMessage } from './request-channel.js';

/** Options of an {@link HttpClient}. */
export interface HttpClientOptions {
  readonly clock: Clock;
  /** Whose requests these are, for messages: `the Consul client`. */
  readonly client: string;
  readonly tls?: TlsOptions | undefined;
  /** A longer answer is an error, in bytes after decompression. */
  readonly maxBytes: number;
  /** How connections are kept, in Node's words. @default eight are kept that nobody uses, any number is open */
  readonly connections?: Pick<AgentOptions, 'maxSockets' | 'maxFreeSockets' | 'keepAliveMsecs' | 'timeout'>;
  /** How long a connection may take to be made, in milliseconds. @default as long as the request */
  readonly connectTimeoutMs?: number;
  /** How long a server may be silent, in milliseconds. @default as long as the request may take */
  readonly silenceMs?: number;
  /**
   * The requests wait at the server for something to happen. Then the time limit begins when a connection is theirs,
   * since waiting for one's turn is no sign of a slow server; and one whose connection broke is not sent again, since it
   * must not go on unnoticed at a server that may have begun anew. @default false
   */
  readonly waits?: boolean;
}

/** One request as it goes over the wire. */
export interface HttpRequest {
  readonly method: string;
  /** Where to: `protocol`, `host`, `port` and `path`, or `socketPath`; what `urlToHttpOptions` gives. */
  readonly target: RequestOptions;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  /** The answer must be complete within this time, in milliseconds. @default no limit */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** @default the client's */
  readonly maxBytes?: number | undefined;
  /** Whether it may be sent again when the kept connection that it met was closed at that moment. @default true */
  readonly repeatable?: boolean;
  /** Makes a connection for this request alone, instead of one that is kept: through a proxy. */
  readonly connect?: ((signal: AbortSignal, tls: TlsMaterial) => Promise<Duplex>) | undefined;
  /** For messages, without secrets: `GET http://host/path`. */
  readonly what: string;
}

/** One answer as it came over the wire, complete, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  /** Those of the connection and the packing are the packed body's. */
  readonly headers: IncomingHttpHeaders;
  /** Unpacked. */
  readonly body: Buffer;
}

/** Over which connection a request goes. */
type Way = Pick<RequestOptions, 'agent' | 'createConnection'> & TlsMaterial;

/**
 * HTTP by Node's own client, over kept connections; every answer is bounded in size, and in time when that is asked for.
 * Redirects are answers. It holds the process while a request is under way.
 */
export class HttpClient {
  private readonly plain: http.Agent;
  private secure: Promise<{ readonly agent: https.Agent; readonly tls: TlsMaterial }> | undefined;
  private closed = false;
  private readonly flying = new Set<AbortController>();
  private readonly kept: AgentOptions;

  constructor(private readonly options: HttpClientOptions) {
    // Probes of the kernel find a host that is gone also while an answer is waited for.
    this.kept = { keepAlive: true, keepAliveMsecs: 15_000, maxFreeSockets: 8, ...options.connections };
    this.plain = new http.Agent(this.kept);
  }

  /** Requests that wait for their answer, or for a connection. */
  get inFlight(): number {
    return this.flying.size;
  }

  /**
   * Sends a request. One that meets a kept connection which the server closed at that moment is sent again, once.
   *
   * @throws DiscoveryError `TIMEOUT`; `BACKEND_UNAVAILABLE` for an answer that is too long, cut off or can't be unpacked;
   * `INVALID_OPTION` for what Node refuses to send and for certificates that are none; `ABORTED`, `BACKEND_CLOSED`. What
   * a connection failed with is Node's own error.
   */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    return requestChannel.hasSubscribers ? this.told(request) : this.sent(request);
  }

  private async told(request: HttpRequest): Promise<HttpAnswer> {
    const { clock, client } = this.options;
    const { method, what } = request;
    const startedAt = clock.now();
    const tell = (end: Pick<RequestMessage, 'status' | 'error'>): void =>
      requestChannel.publish({
        client,
        method,
        what,
        tookMs: clock.now() - startedAt,
        ...end,
      } satisfies RequestMessage);
    try {
      const answer = await this.sent(request);
      tell({ status: answer.status });
      return answer;
    } catch (error) {
      tell({ error });
      throw error;
    }
  }

  private async sent(request: HttpRequest): Promise<HttpAnswer> {
    const { timeoutMs, signal, what } = request;
    if (this.closed) throw this.closedError();
    if (signal?.aborted === true) throw aborted(what);
    const cut = new AbortController();
    const onAbort = (): void => cut.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.flying.add(cut);
    try {
      if (timeoutMs === undefined || this.options.waits === true) return await this.attempt(request, cut.signal);
      return await withDeadline(this.options.clock, timeoutMs, cut.signal, what, (end) => this.attempt(request, end));
    } catch (error) {
      throw this.closed ? this.closedError() : error;
    } finally {
      this.flying.delete(cut);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends all requests and connections. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const cut of this.flying) cut.abort();
    this.plain.destroy();
    const secure = await this.secure?.catch(() => undefined);
    secure?.agent.destroy();
  }

  private async attempt(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const secure = request.target.protocol === 'https:' ? await this.secured() : undefined;
    const socket = await request.connect?.(signal, secure?.tls ?? {});
    const way = socket === undefined ? { agent: secure?.agent ?? this.plain } : { createConnection: () => socket };
    try {
      return await this.exchange(request, signal, way);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      if (request.repeatable === false || this.options.waits === true) throw error.cause;
      // A new connection of its own: another kept one may be as dead.
      return this.exchange(request, signal, { agent: false, ...secure?.tls });
    }
  }

  private secured(): NonNullable<typeof this.secure> {
    this.secure ??= readTls(this.options.tls ?? {}, this.options.client).then(
      (tls) => ({ tls, agent: new https.Agent({ ...this.kept, ...tls }) }),
      (error: unknown) => {
        // A file that can't be read now may be there later.
        this.secure = undefined;
        throw error;
      },
    );
    return this.secure;
  }

  private exchange(request: HttpRequest, signal: AbortSignal, way: Way): Promise<HttpAnswer> {
    const { clock, connectTimeoutMs, silenceMs, waits } = this.options;
    const { timeoutMs, what } = request;
    return new Promise((resolve, reject) => {
      const sent = begin(request, way);
      const timers: Timer[] = [];
      const settle = (end: () => void): void => {
        for (const timer of timers) timer.cancel();
        signal.removeEventListener('abort', onAbort);
        end();
      };
      // One that waits for a connection hears of its end only when it gets one: so it isn't waited for.
      const fail = (error: unknown): void => {
        settle(() => reject(error));
        sent.destroy();
      };
      const onAbort = (): void => fail(aborted(what));
      const limit = (ms: number, problem: string): Timer =>
        clock.setTimer(() => fail(new DiscoveryError('TIMEOUT', `${what} ${problem} ${ms} ms`)), ms);
      let answered = false;
      sent.on('error', (error) => {
        const stale = !answered && sent.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? '');
        fail(stale ? new StaleConnection(error) : error);
      });
      sent.once('socket', (socket) => {
        if (waits === true && timeoutMs !== undefined) timers.push(limit(timeoutMs, 'took longer than'));
        if (connectTimeoutMs === undefined || !socket.connecting) return;
        const connecting = limit(connectTimeoutMs, 'could not be connected to within');
        timers.push(connecting);
        const secure = request.target.protocol === 'https:';
        socket.once(secure ? 'secureConnect' : 'connect', () => connecting.cancel());
      });
      if (silenceMs !== undefined) {
        const problem = `${what} was silent for ${silenceMs} ms`;
        sent.setTimeout(silenceMs, () => fail(new DiscoveryError('TIMEOUT', problem)));
      }
      sent.once('response', (incoming) => {
        answered = true;
        const take = (body: Buffer): void =>
          settle(() => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
        readBody(incoming, request.maxBytes ?? this.options.maxBytes, take, (problem, cause) =>
          fail(new DiscoveryError('BACKEND_UNAVAILABLE', `${what}: the answer ${problem}`, cause)),
        );
      });
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      else sent.end(request.body);
    });
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', `${this.options.client} was closed`);
  }
}

/** The server closed a kept connection while the request was on its way: it has not been read. */
class StaleConnection extends Error {
  constructor(override readonly cause: Error) {
    super('the connection had been closed');
  }
}

/** @throws DiscoveryError `INVALID_OPTION` for what Node refuses to send */
function begin({ method, target, headers, body, what }: HttpRequest, way: Way): ClientRequest {
  // Node writes none for a DELETE with a body.
  const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
  try {
    const { request } = target.protocol === 'https:' ? https : http;
    return request({ ...target, ...way, method, headers: { ...headers, ...length } });
  } catch (cause) {
    throw new DiscoveryError('INVALID_OPTION', `${what} can't be sent: ${messageOf(cause)}`, { cause });
  }
}

/** Reads, unpacks and counts: what is too long is cut off at the limit, however small it was on the wire. */
function readBody(
  incoming: IncomingMessage,
  maxBytes: number,
  take: (body: Buffer) => void,
  fail: (problem: string, details?: { readonly cause: unknown }) => void,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  const stream = unpacked(incoming);
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes) return void chunks.push(chunk);
    chunks.length = 0;
    fail(`is longer than ${maxBytes} bytes`);
    stream.destroy();
  });
  stream.once('end', () => take(Buffer.concat(chunks, Math.min(size, maxBytes))));
  const cutOff = (): void => {
    if (!incoming.complete) fail('was cut off');
  };
  incoming.on('error', cutOff);
  incoming.once('close', cutOff);
  if (stream !== incoming) stream.on('error', (cause) => fail(`can't be read (${messageOf(cause)})`, { cause }));
}

function unpacked(incoming: IncomingMessage): Readable {
  switch (incoming.headers['content-encoding']?.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return incoming.pipe(createGunzip());
    case 'deflate':
      return incoming.pipe(createInflate());
    case 'br':
      return incoming.pipe(createBrotliDecompress());
    default:
      return incoming;
  }
}

function aborted(what: string): DiscoveryError {
  return new DiscoveryError('ABORTED', `${what} was aborted`);
}

// Keys and certificates.
conceal(HttpClient.prototype);
