import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { WorkInFlight } from './work-in-flight.js';

/**
 * What is open at the HTTP servers of an app: the requests that are being answered, which a shutdown waits for, and every
 * connection, which it closes when it has waited long enough. An event stream and an upgraded connection (WebSocket) never
 * end by themselves, so nobody waits for them.
 */
export class ServerConnections {
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private draining = false;

  /**
   * @param work counts what is to be waited for
   * @param onRefusal told when the server answers 503 while it is being taken out of service
   */
  constructor(
    private readonly work: WorkInFlight,
    private readonly onRefusal: () => void = () => {},
  ) {}

  /** Begins to watch a server. */
  watch(server: Server): void {
    this.servers.push(server);
    server.prependListener('connection', this.connected);
    // A TLS server's plain sockets are closed with the encrypted ones on top of them.
    server.prependListener('secureConnection', this.connected);
    server.prependListener('request', this.requested);
  }

  /** Answers close their connections from now on. */
  drain(): void {
    this.draining = true;
  }

  /** Takes no new connections, and closes those on which nothing is being answered. */
  refuse(): void {
    for (const server of this.servers) {
      // It may not be listening any more: that is what is wanted.
      server.close(() => {});
      // An HTTP/2 server has no such method, whatever the types say: its sessions end when they are closed.
      (server as Partial<Server>).closeIdleConnections?.();
    }
  }

  /** Closes whatever is still open. @returns how many connections that were */
  closeAll(): number {
    const open = [...this.sockets].filter((socket) => !socket.destroyed);
    for (const socket of open) socket.destroy();
    return open.length;
  }

  /** Watches no more. */
  release(): void {
    for (const server of this.servers.splice(0)) {
      server.removeListener('connection', this.connected);
      server.removeListener('secureConnection', this.connected);
      server.removeListener('request', this.requested);
    }
    this.sockets.clear();
  }

  private readonly connected = (socket: Socket): void => {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
  };

  private readonly requested = (request: IncomingMessage, response: ServerResponse): void => {
    const ended = this.work.begin(() => !isEventStream(request, response));
    // From now on every answer asks its client to open a new connection, which will go to somebody else.
    if (this.draining && !response.headersSent) response.setHeader('connection', 'close');
    response.once('close', () => {
      if (this.draining && response.statusCode === 503) this.onRefusal();
      ended();
    });
  };
}

/** By what was asked for too: headers that were written in one go can't be read back. */
function isEventStream(request: IncomingMessage, response: ServerResponse): boolean {
  const { accept = '' } = request.headers;
  return accept.includes(EVENT_STREAM) || String(response.getHeader('content-type') ?? '').startsWith(EVENT_STREAM);
}

const EVENT_STREAM = 'text/event-stream';
