import { readFile } from 'node:fs/promises';
import http, { type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import https from 'node:https';
import type { Clock } from '../../../backend/index.js';
import { codeOf, DiscoveryError, messageOf } from '../../../model/index.js';
import { addressText, type ConsulAddress } from './address.js';
import { ConsulError } from './errors.js';

/** How to speak TLS. Texts are PEM; a `…File` is read with the first request. */
export interface ConsulTlsOptions {
  /** Certificates to trust instead of the system's. */
  readonly ca?: string;
  readonly caFile?: string;
  /** The client's own certificate and key, for servers that ask for one. */
  readonly cert?: string;
  readonly certFile?: string;
  readonly key?: string;
  readonly keyFile?: string;
  readonly passphrase?: string;
  /** The name that the certificate must bear, when it isn't the address. */
  readonly servername?: string;
  /** Accept any certificate; for tests only. @default true */
  readonly rejectUnauthorized?: boolean;
}

/** What a {@link Transport} needs. */
export interface TransportOptions {
  readonly address: ConsulAddress;
  readonly tls: ConsulTlsOptions;
  readonly maxRequestConnections: number;
  readonly maxWatchConnections: number;
  readonly clock: Clock;
}

/** One request as it goes over the wire. */
export interface WireRequest {
  readonly method: string;
  /** With its query, encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
  /** Those that wait at the server have connections of their own, so that they never stand in the way of the others. */
  readonly pool: 'requests' | 'watches';
  readonly maxBytes: number;
  /** For messages. */
  readonly operation: string;
}

/** One answer as it came over the wire. */
export interface WireResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

type Agents = Readonly<Record<WireRequest['pool'], http.Agent>>;

/** HTTP over a bounded number of kept connections. */
export class Transport {
  private agents: Promise<Agents> | undefined;
  private closed = false;
  private readonly flying = new Set<(error: Error) => void>();

  constructor(private readonly options: TransportOptions) {}

  /** Requests that wait for their answer, or for a connection. */
  get inFlight(): number {
    return this.flying.size;
  }

  /**
   * Sends a request. One that meets a kept connection which the server closed at that moment is sent again, if it reads.
   *
   * @throws ConsulError `unavailable` when there is no complete answer; DiscoveryError `ABORTED` or `BACKEND_CLOSED`
   */
  async send(request: WireRequest): Promise<WireResponse> {
    this.assertUsable(request);
    this.agents ??= this.openAgents();
    const agents = await this.agents;
    this.assertUsable(request);
    const agent = agents[request.pool];
    try {
      return await this.once(request, agent);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      this.assertUsable(request);
      if (request.method !== 'GET') throw unavailable(request, this.where(), messageOf(error.cause), error.cause);
      // A new connection of its own: another kept one may be as dead.
      return this.once(request, agent, { Connection: 'close' });
    }
  }

  /** Ends all requests and connections. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const fail of this.flying) fail(this.closedError());
    const agents = await this.agents?.catch(() => undefined);
    agents?.requests.destroy();
    agents?.watches.destroy();
  }

  private once(request: WireRequest, agent: http.Agent, more: Record<string, string> = {}): Promise<WireResponse> {
    const { clock } = this.options;
    return new Promise((resolve, reject) => {
      const outgoing = this.begin(request, agent, more);
      const settle = (end: () => void): void => {
        if (!this.flying.delete(fail)) return;
        timer?.cancel();
        request.signal?.removeEventListener('abort', onAbort);
        end();
      };
      const fail = (error: Error): void => {
        settle(() => reject(error));
        outgoing.destroy();
      };
      const broken = (error: unknown): void => {
        // A question that waited at the server must not go on unnoticed at one that may have begun anew.
        const stale = outgoing.reusedSocket && request.pool === 'requests' && codeOf(error) === 'ECONNRESET';
        fail(stale ? new StaleConnection(error) : unavailable(request, this.where(), reasonOf(error), error));
      };
      const onAbort = (): void => {
        fail(new DiscoveryError('ABORTED', `${request.operation} was aborted`, { backend: 'consul' }));
      };
      const startTimer = (): void => {
        timer ??= clock.setTimer(
          () => fail(unavailable(request, this.where(), `no answer within ${request.timeoutMs} ms`)),
          request.timeoutMs,
        );
      };
      let timer: ReturnType<Clock['setTimer']> | undefined;
      this.flying.add(fail);
      request.signal?.addEventListener('abort', onAbort, { once: true });
      // One that waits for its turn among the watches is no sign of a slow server.
      if (request.pool === 'requests') startTimer();
      else outgoing.once('socket', startTimer);
      outgoing.on('error', broken);
      outgoing.once('response', (incoming) => {
        const chunks: Buffer[] = [];
        let size = 0;
        incoming.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size <= request.maxBytes) chunks.push(chunk);
          else fail(unavailable(request, this.where(), `the answer is longer than ${request.maxBytes} bytes`));
        });
        incoming.on('error', broken);
        incoming.once('close', () => {
          if (!incoming.complete) broken(new Error('the answer was cut off'));
        });
        incoming.once('end', () => {
          const { statusCode = 0, headers } = incoming;
          if (!incoming.complete) broken(new Error('the answer was cut off'));
          else settle(() => resolve({ status: statusCode, headers, body: Buffer.concat(chunks) }));
        });
      });
      outgoing.end(request.body);
    });
  }

  /** @throws DiscoveryError `INVALID_OPTION` for what Node refuses to send, or certificates that are none */
  private begin(request: WireRequest, agent: http.Agent, more: Record<string, string>): http.ClientRequest {
    const fresh = 'Connection' in more;
    try {
      return this.module().request({
        ...this.target(),
        method: request.method,
        path: this.path(request.path),
        headers: { ...request.headers, ...more },
        agent: fresh ? false : agent,
        ...(fresh ? this.tlsOfFresh : {}),
      });
    } catch (cause) {
      throw new DiscoveryError('INVALID_OPTION', `${request.operation} can't be sent: ${messageOf(cause)}`, {
        backend: 'consul',
        cause,
      });
    }
  }

  private tlsOfFresh: https.AgentOptions = {};

  private async openAgents(): Promise<Agents> {
    const { maxRequestConnections, maxWatchConnections } = this.options;
    const { address } = this.options;
    const tls = address.kind === 'tcp' && address.tls ? await this.readTls() : {};
    this.tlsOfFresh = tls;
    const open = (maxSockets: number): http.Agent => {
      // Probes of the kernel find a host that is gone also while an answer is waited for.
      const options = { keepAlive: true, keepAliveMsecs: 15_000, maxSockets, maxFreeSockets: 8, ...tls };
      return this.module() === https ? new https.Agent(options) : new http.Agent(options);
    };
    return { requests: open(maxRequestConnections), watches: open(maxWatchConnections) };
  }

  private async readTls(): Promise<https.AgentOptions> {
    const { ca, caFile, cert, certFile, key, keyFile, passphrase, servername, rejectUnauthorized } = this.options.tls;
    const read = async (field: string, text: string | undefined, file: string | undefined) => {
      if (text !== undefined || file === undefined) return text;
      try {
        return await readFile(file, 'utf8');
      } catch (cause) {
        const field_ = `tls.${field}`;
        // The next request tries again: the file may come.
        this.agents = undefined;
        throw new DiscoveryError('INVALID_OPTION', `${field_} ${file} can't be read: ${codeOf(cause) ?? 'failed'}`, {
          field: field_,
          cause,
        });
      }
    };
    const texts = {
      ca: await read('caFile', ca, caFile),
      cert: await read('certFile', cert, certFile),
      key: await read('keyFile', key, keyFile),
    };
    return {
      ...(texts.ca === undefined ? {} : { ca: texts.ca }),
      ...(texts.cert === undefined ? {} : { cert: texts.cert }),
      ...(texts.key === undefined ? {} : { key: texts.key }),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(servername === undefined ? {} : { servername }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    };
  }

  private module(): typeof http | typeof https {
    const { address } = this.options;
    return address.kind === 'tcp' && address.tls ? https : http;
  }

  private target(): RequestOptions {
    const { address } = this.options;
    if (address.kind === 'unix') return { socketPath: address.socketPath, host: 'localhost' };
    return { host: address.host, port: address.port };
  }

  private path(path: string): string {
    const { address } = this.options;
    return address.kind === 'tcp' ? `${address.path}${path}` : path;
  }

  private where(): string {
    return addressText(this.options.address);
  }

  private assertUsable({ signal, operation }: WireRequest): void {
    if (this.closed) throw this.closedError();
    if (signal?.aborted === true) {
      throw new DiscoveryError('ABORTED', `${operation} was aborted`, { backend: 'consul' });
    }
  }

  private closedError(): DiscoveryError {
    return new DiscoveryError('BACKEND_CLOSED', 'the Consul client was closed', { backend: 'consul' });
  }
}

/** The server closed a kept connection while the request was on its way: it has not been read. */
class StaleConnection extends Error {
  constructor(override readonly cause: unknown) {
    super('the connection had been closed');
  }
}

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const message = messageOf(error);
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`;
}

function unavailable(request: WireRequest, where: string, reason: string, cause?: unknown): ConsulError {
  const { operation } = request;
  return new ConsulError('unavailable', `${operation} at ${where} failed: ${reason}`, {
    operation,
    ...(cause === undefined ? {} : { cause }),
  });
}
