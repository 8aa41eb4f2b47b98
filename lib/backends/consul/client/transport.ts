import { HttpClient, type Clock, type HttpAnswer, type HttpRequest, type TlsOptions } from '../../../backend/index.js';
import { codeOf, DiscoveryError, messageOf } from '../../../model/index.js';
import { addressText, type ConsulAddress } from './address.js';
import { ConsulError } from './errors.js';

/** What a {@link Transport} needs. */
export interface TransportOptions {
  readonly address: ConsulAddress;
  readonly tls: TlsOptions;
  readonly maxRequestConnections: number;
  readonly maxWatchConnections: number;
  readonly maxResponseBytes: number;
  readonly clock: Clock;
}

/** One request to the agent. */
export interface WireRequest extends Pick<HttpRequest, 'method' | 'headers' | 'body' | 'signal' | 'maxBytes'> {
  /** With its query, encoded. */
  readonly path: string;
  readonly timeoutMs: number;
  /** Those that wait at the server have connections of their own, so that they never stand in the way of the others. */
  readonly pool: 'requests' | 'watches';
  /** For messages. */
  readonly operation: string;
}

/** HTTP over a bounded number of kept connections to one agent. */
export class Transport {
  private readonly pools: Readonly<Record<WireRequest['pool'], HttpClient>>;

  constructor(private readonly options: TransportOptions) {
    const { clock, tls, maxResponseBytes: maxBytes, maxRequestConnections, maxWatchConnections } = options;
    const open = (maxSockets: number, waits: boolean): HttpClient =>
      new HttpClient({ clock, client: 'the Consul client', tls, maxBytes, waits, connections: { maxSockets } });
    this.pools = { requests: open(maxRequestConnections, false), watches: open(maxWatchConnections, true) };
  }

  /** Requests that wait for their answer, or for a connection. */
  get inFlight(): number {
    return this.pools.requests.inFlight + this.pools.watches.inFlight;
  }

  /**
   * Sends a request. One that meets a kept connection which the server closed at that moment is sent again, if it reads.
   *
   * @throws ConsulError `unavailable` when there is no complete answer; DiscoveryError `ABORTED`, `BACKEND_CLOSED` or
   * `INVALID_OPTION`
   */
  async send({ path, pool, operation, ...request }: WireRequest): Promise<HttpAnswer> {
    const { address } = this.options;
    const what = `${operation} at ${addressText(address)}`;
    const target =
      address.kind === 'unix'
        ? { socketPath: address.socketPath, host: 'localhost', path }
        : {
            protocol: address.tls ? 'https:' : 'http:',
            host: address.host,
            port: address.port,
            path: `${address.path}${path}`,
          };
    try {
      return await this.pools[pool].send({ ...request, target, what, repeatable: request.method === 'GET' });
    } catch (error) {
      const isOurs = error instanceof DiscoveryError;
      if (isOurs && error.code !== 'TIMEOUT' && error.code !== 'BACKEND_UNAVAILABLE') throw error;
      const message = isOurs ? error.message : `${what} failed: ${reasonOf(error)}`;
      throw new ConsulError('unavailable', message, { operation, cause: error });
    }
  }

  /** Ends all requests and connections. */
  async close(): Promise<void> {
    await Promise.all([this.pools.requests.close(), this.pools.watches.close()]);
  }
}

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const message = messageOf(error);
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`;
}
