import type {
  Connector,
  Wire,
  WireClient,
  WireClientOptions,
  WireHandler,
  WireRequest,
  WireRequestOptions,
  WireSocket,
} from './undici-port.js';

/** Who is told what becomes of a connection. */
export interface ConnectionOwner {
  /** The socket is connected. */
  connected(): void;
  /** The socket is gone; the connection makes a new one when it gets the next request. */
  disconnected(connection: Connection): void;
}

/**
 * One undici client: a socket, made when the first request needs it, made anew when a request finds it closed.
 * It never has more than one request, so undici has nothing that it could pipeline, reorder or send again.
 */
export class Connection {
  private readonly client: WireClient;
  private connecting: WireSocket | undefined;

  constructor(wire: Wire, origin: string, options: WireClientOptions, owner: ConnectionOwner) {
    const connect: Connector = (target, callback) => {
      const socket = options.connect(target, (error, connected) => {
        this.connecting = undefined;
        callback(error, connected);
      });
      this.connecting = socket;
      return socket;
    };
    this.client = wire.createClient(origin, { ...options, connect });
    this.client.on('connect', () => owner.connected());
    this.client.on('disconnect', () => owner.disconnected(this));
  }

  send(request: WireRequest | WireRequestOptions, handler: WireHandler): void {
    this.client.dispatch(request, handler);
  }

  /** Closes the socket, even while it is connecting, which undici alone would wait for. */
  async destroy(): Promise<void> {
    const closed = this.client.destroy();
    this.connecting?.destroy();
    this.connecting = undefined;
    await closed;
  }
}
