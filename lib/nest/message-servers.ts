import type { AddressInfo, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { ModulesContainer } from '@nestjs/core';
import { finalize, isObservable } from 'rxjs';
import { ValueView, type View } from '../backend/index.js';
import type { WorkInFlight } from '../registration/index.js';
import { rememberMessages, type Within } from './incoming-messages.js';

/** A server of Nest's microservices that listens on a port of its own. */
export interface MessageEndpoint {
  readonly scheme: 'tcp' | 'grpc';
  readonly port: number;
  /** The address that it is bound to, when known. */
  readonly address: string | undefined;
}

/** What is used of a transport strategy; brokers' have no port, and custom ones may lack anything. */
interface Transport {
  readonly transportId?: unknown;
  readonly url?: unknown;
  addHandler?(pattern: unknown, handler: Handler, ...more: readonly unknown[]): unknown;
  listen?(callback: (...results: readonly unknown[]) => unknown): unknown;
  unwrap?(): unknown;
  handleMessage?(...args: readonly unknown[]): unknown;
}

type Handler = (...args: readonly unknown[]) => unknown;

/** Nest's numbers of the transports, whose package an app need not have. */
const SCHEMES: ReadonlyMap<unknown, MessageEndpoint['scheme']> = new Map([
  [0, 'tcp'],
  [4, 'grpc'],
]);

/**
 * The servers of Nest's microservices in this app, which Nest tells of before they have handlers and long before they
 * listen: what they really listen on, and which messages are being handled.
 */
export class MessageServers {
  private readonly view = new ValueView<readonly MessageEndpoint[]>([]);
  private readonly subscription: { unsubscribe(): void } | undefined;
  /** Connections of callers of TCP servers. */
  private readonly sockets = new Set<Socket>();
  private known = 0;

  constructor(
    modules: ModulesContainer,
    private readonly work: WorkInFlight,
    /** Handles a message as what its calls carry on headers of. */
    private readonly within: Within,
  ) {
    // The first Nest 11 doesn't tell: there a microservice registers by `service.port`, and nobody waits for its messages.
    const told = 'getRpcTargetRegistry' in modules ? modules.getRpcTargetRegistry<Transport>() : undefined;
    this.subscription = told?.subscribe((transport) => this.watch(transport));
  }

  /** Those that listen. */
  get listening(): View<readonly MessageEndpoint[]> {
    return this.view;
  }

  /** Whether there are any that have a port. */
  get expected(): boolean {
    return this.known > 0;
  }

  /** Watches no more. */
  close(): void {
    this.subscription?.unsubscribe();
    this.view.close();
  }

  private watch(transport: Transport): void {
    this.countHandlers(transport);
    rememberMessages(transport, this.within);
    const scheme = SCHEMES.get(transport.transportId);
    const { listen } = transport;
    if (scheme === undefined || listen === undefined) return;
    this.known += 1;
    transport.listen = (callback) =>
      Reflect.apply(listen, transport, [
        (...results: readonly unknown[]) => {
          if (results[0] === undefined || results[0] === null) this.listens(transport, scheme);
          return callback(...results);
        },
      ]);
  }

  private listens(transport: Transport, scheme: MessageEndpoint['scheme']): void {
    if (scheme === 'tcp') this.followSockets(transport);
    const endpoint = scheme === 'grpc' ? fromUrl(transport.url) : fromServer(transport);
    if (endpoint !== undefined) this.view.set([...this.view.current, { scheme, ...endpoint }]);
  }

  private followSockets(transport: Transport): void {
    const server = transport.unwrap?.() as { on?(event: 'connection', listener: (socket: Socket) => void): unknown };
    server.on?.('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  private countHandlers(transport: Transport): void {
    const { addHandler } = transport;
    if (addHandler === undefined) return;
    transport.addHandler = (pattern, handler, ...more) =>
      Reflect.apply(addHandler, transport, [pattern, this.counted(handler), ...more]);
  }

  private counted(handler: Handler): Handler {
    return async (...args) => {
      const counted = this.work.begin();
      const ended = (): void => void this.written().then(counted);
      try {
        const answer = await handler(...args);
        if (isObservable(answer)) return answer.pipe(finalize(ended));
        ended();
        return answer;
      } catch (error) {
        ended();
        throw error;
      }
    };
  }

  /** Resolves when what handlers have answered until now has left the process. */
  private async written(): Promise<void> {
    // Nest writes the answer when the handler has ended.
    await setImmediate();
    await Promise.all([...this.sockets].filter(({ writableLength }) => writableLength > 0).map(drained));
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve).once('close', resolve);
  });
}

function fromServer(transport: Transport): Omit<MessageEndpoint, 'scheme'> | undefined {
  const server = transport.unwrap?.() as { address?(): AddressInfo | string | null } | undefined;
  const bound = server?.address?.();
  return typeof bound === 'object' && bound !== null ? { port: bound.port, address: bound.address } : undefined;
}

/** gRPC tells nobody which port it got: the one that it was given has to do. */
function fromUrl(url: unknown): Omit<MessageEndpoint, 'scheme'> | undefined {
  const match = typeof url === 'string' ? /^(?:\[(.+)\]|([^:]*)):(\d+)$/.exec(url) : null;
  const port = Number(match?.[3]);
  return port > 0 ? { port, address: match?.[1] ?? match?.[2] } : undefined;
}
