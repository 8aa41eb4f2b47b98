import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { withDeadline, withoutSecrets, type Clock } from '../../../../backend/index.js';
import { codeOf, DiscoveryError } from '../../../../model/index.js';
import { unavailable } from '../errors.js';
import type { NacosTlsOptions } from '../options.js';

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
  readonly tls?: NacosTlsOptions | undefined;
  /** Whether certificates are verified. @default true */
  readonly verify?: boolean;
  /** Proxy of each scheme: `{ http: 'http://10.0.0.1:3128' }`. */
  readonly proxies?: () => Readonly<Partial<Record<'http' | 'https', string>>>;
  /** Told after every request: undefined for an answer, or what it failed with. */
  readonly onResult?: (error: unknown) => void;
  /** An answer that is longer is an error, in bytes. @default 100 MiB */
  readonly maxBytes?: number;
}

/** PEM texts of the TLS options; files are read. */
export async function loadTls(tls: NacosTlsOptions): Promise<{ ca?: string; cert?: string; key?: string }> {
  const load = async (name: 'ca' | 'cert' | 'key'): Promise<string | undefined> => {
    const file = tls[`${name}File`];
    if (file === undefined) return tls[name];
    try {
      return await readFile(file, 'utf8');
    } catch (cause) {
      throw new DiscoveryError('INVALID_OPTION', `nacos: tls.${name}File can't be read: ${file}`, {
        field: `tls.${name}File`,
        cause,
      });
    }
  };
  const [ca, cert, key] = await Promise.all([load('ca'), load('cert'), load('key')]);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** Sends HTTP requests over connections that are kept, until it is closed. */
export class HttpTransport {
  private readonly plain = new HttpAgent({ keepAlive: true, maxFreeSockets: 2 });
  private secure: Promise<HttpsAgent> | undefined;
  private readonly closing = new AbortController();
  private readonly tunnels = new Set<Socket>();

  constructor(private readonly options: HttpTransportOptions) {
    // Every request under way listens to it.
    setMaxListeners(0, this.closing.signal);
  }

  /**
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` when there was no answer in time, `ABORTED`, `BACKEND_CLOSED`
   */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    if (this.closing.signal.aborted) throw new DiscoveryError('BACKEND_CLOSED', 'the Nacos client was closed');
    const what = `${request.method} ${withoutSecrets(request.url)}`;
    const signal = request.signal === undefined ? this.closing.signal : anySignal(request.signal, this.closing.signal);
    try {
      const answer = await withDeadline(this.options.clock, request.timeoutMs, signal, what, (cut) =>
        this.send(request, cut),
      );
      this.options.onResult?.(undefined);
      return answer;
    } catch (error) {
      if (!signal.aborted) this.options.onResult?.(error);
      if (this.closing.signal.aborted) throw new DiscoveryError('BACKEND_CLOSED', `the Nacos client was closed`);
      if (error instanceof DiscoveryError && error.code === 'TIMEOUT') {
        throw new DiscoveryError('BACKEND_UNAVAILABLE', error.message, { cause: error });
      }
      throw unavailable(what, error);
    }
  }

  /** Ends every request and connection. */
  async close(): Promise<void> {
    this.closing.abort();
    this.plain.destroy();
    for (const tunnel of this.tunnels) tunnel.destroy();
    const secure = await this.secure?.catch(() => undefined);
    secure?.destroy();
  }

  private async send(request: HttpRequest, signal: AbortSignal, again = true): Promise<HttpAnswer> {
    const inQuery = request.method === 'GET' || request.method === 'DELETE';
    const form = encodeForm(request.params ?? {});
    const url = new URL(inQuery && form !== '' ? `${request.url}?${form}` : request.url);
    const body = inQuery ? undefined : form;
    const headers: Record<string, string> = {
      ...request.headers,
      ...(body === undefined
        ? {}
        : {
            'Content-Type': 'application/x-www-form-urlencoded;charset=utf-8',
            'Content-Length': String(Buffer.byteLength(body)),
          }),
    };
    const secure = url.protocol === 'https:';
    const proxy = this.options.proxies?.()[secure ? 'https' : 'http'];
    const agent = secure ? await this.secureAgent() : this.plain;
    const tunnel = secure && proxy !== undefined ? await this.tunnel(proxy, url, signal) : undefined;
    return new Promise((resolve, reject) => {
      const onAnswer = (answer: IncomingMessage): void => {
        readAll(answer, this.options.maxBytes ?? 100 * 1024 * 1024).then(
          (text) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }),
          reject,
        );
      };
      const common = { method: request.method, headers, signal };
      const sent =
        proxy !== undefined && !secure
          ? httpRequest({ ...common, ...viaProxy(proxy, url, headers), agent: this.plain }, onAnswer)
          : tunnel !== undefined
            ? httpsRequest(url, { ...common, createConnection: () => tunnel }, onAnswer)
            : (secure ? httpsRequest : httpRequest)(url, { ...common, agent }, onAnswer);
      sent.on('error', (error) => {
        // The server had closed a connection that was kept: it never saw the request.
        if (again && sent.reusedSocket && codeOf(error) === 'ECONNRESET' && !signal.aborted) {
          this.send(request, signal, false).then(resolve, reject);
        } else if (hasStatusZero(error)) {
          resolve({ status: 403, headers: {}, text: '' });
        } else reject(error);
      });
      sent.end(body);
    });
  }

  private secureAgent(): Promise<HttpsAgent> {
    this.secure ??= (async () => {
      const { tls, verify } = this.options;
      const files = tls === undefined ? {} : await loadTls(tls);
      return new HttpsAgent({
        keepAlive: true,
        maxFreeSockets: 2,
        ...files,
        rejectUnauthorized: verify ?? true,
        ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
      });
    })();
    this.secure.catch(() => {
      // A file that can't be read now may be there later.
      this.secure = undefined;
    });
    return this.secure;
  }

  /** A connection to an HTTPS server through a proxy's CONNECT. */
  private async tunnel(proxy: string, url: URL, signal: AbortSignal): Promise<Socket> {
    const { hostname, port, headers } = proxyParts(proxy);
    const target = `${url.hostname}:${url.port === '' ? '443' : url.port}`;
    const agent = await this.secureAgent();
    const raw = await new Promise<Socket>((resolve, reject) => {
      const connecting = httpRequest({
        host: hostname,
        port,
        method: 'CONNECT',
        path: target,
        headers: { ...headers, Host: target },
        signal,
        agent: false,
      });
      connecting.on('error', reject);
      connecting.on('connect', (answer, socket) => {
        if (answer.statusCode === 200) resolve(socket);
        else {
          socket.destroy();
          reject(new Error(`the proxy answered ${answer.statusCode ?? 0} to CONNECT`));
        }
      });
      connecting.end();
    });
    const { ca, cert, key, rejectUnauthorized, servername } = agent.options;
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // An address is no server name: the certificate is checked against the host.
    const name = servername ?? (isIP(host) === 0 ? host : undefined);
    const socket = connectTls({
      ...{ socket: raw, host, ca, cert, key, rejectUnauthorized },
      ...(name === undefined ? {} : { servername: name }),
    });
    this.tunnels.add(socket);
    socket.on('close', () => this.tunnels.delete(socket));
    return socket;
  }
}

/** `key=value&…` of what isn't undefined. */
export function encodeForm(params: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(params)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${encodeURIComponent(key)}=${encodeURIComponent(value)}`]))
    .join('&');
}

/** A signal that aborts with the first of the two. */
export function anySignal(one: AbortSignal, other: AbortSignal): AbortSignal {
  return AbortSignal.any([one, other]);
}

function viaProxy(proxy: string, url: URL, headers: Readonly<Record<string, string>>) {
  const parts = proxyParts(proxy);
  return {
    host: parts.hostname,
    port: parts.port,
    path: url.href,
    headers: { ...headers, ...parts.headers, Host: url.host },
  };
}

function proxyParts(proxy: string): { hostname: string; port: number; headers: Record<string, string> } {
  const url = new URL(proxy.includes('://') ? proxy : `http://${proxy}`);
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 80 : Number(url.port),
    headers: url.username === '' ? {} : { 'Proxy-Authorization': `Basic ${Buffer.from(user).toString('base64')}` },
  };
}

/** Servers of 2.x answer a wrong password with the status 0, which no HTTP parser takes. They mean 403. */
function hasStatusZero(error: unknown): boolean {
  if (!(error instanceof Error) || !('rawPacket' in error) || !Buffer.isBuffer(error.rawPacket)) return false;
  return /^HTTP\/1\.[01] 0[ \r]/.test(error.rawPacket.toString('latin1', 0, 16));
}

async function readAll(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) {
      answer.destroy();
      throw new Error(`the answer is longer than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
