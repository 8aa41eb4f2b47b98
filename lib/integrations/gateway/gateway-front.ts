import { IncomingMessage, ServerResponse, STATUS_CODES, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { HttpException } from '@nestjs/common';
import type { Logger } from '../../backend/index.js';
import { messageOf } from '../../model/index.js';
import type { GatewayRoutesState } from './gateway-routes.js';
import { HTTP_1_ONLY, incomingOf, isHttp2, type Incoming } from './incoming.js';
import { normalPath, type NormalPath } from './normal-path.js';
import { answerProblem } from './problem.js';
import { hasTooManyHeaders } from './request-head.js';
import type { Found } from './route-table.js';
import type { RouteGuards } from './route-guards.js';
import type { ServiceProxy } from './service-proxy.js';
import type { UpgradeProxy } from './upgrade-proxy.js';

/** What a {@link GatewayFront} needs. */
export interface FrontParts {
  readonly proxy: ServiceProxy;
  readonly upgrades: UpgradeProxy;
  readonly routes: GatewayRoutesState;
  readonly guards: RouteGuards;
  readonly logger: Logger;
  /** Whether a path could be that of a service which isn't known yet. */
  readonly mayBecome: (segments: readonly string[]) => boolean;
}

/** What of Fastify's reply is used here. */
interface RefusingReply {
  code(status: number): RefusingReply;
  type(contentType: string): RefusingReply;
  send(body: string): unknown;
}

/** Looks at every request before the app's body parsers and routes, and takes those that a route is for. */
export class GatewayFront {
  constructor(private readonly parts: FrontParts) {}

  /** Express's middleware. */
  readonly middleware = (request: object, response: object, next: () => void): void => {
    const { originalUrl, url = '/' } = request as { readonly originalUrl?: string; readonly url?: string };
    if (!this.take(request as IncomingMessage, originalUrl ?? url, request, response)) next();
  };

  /** Fastify's hook. */
  readonly hook = (request: { readonly raw: IncomingMessage }, reply: object, done: () => void): void => {
    if (isHttp2(request.raw)) this.refuseHttp2(request.raw, reply as RefusingReply, done);
    else if (!this.take(request.raw, request.raw.url ?? '/', request, reply)) done();
  };

  /** The app's own routes may have it. */
  private refuseHttp2(message: IncomingMessage, reply: RefusingReply, done: () => void): void {
    const path = normalPath(message.url ?? '/');
    if (path === undefined || this.parts.routes.find(path, message) === undefined) return done();
    const problem = { type: 'about:blank', title: STATUS_CODES[505], status: 505, detail: HTTP_1_ONLY, code: 'HTTP_2' };
    reply.code(505).type('application/problem+json').send(JSON.stringify(problem));
  }

  /**
   * A request as it comes from the server, where nothing of the app's comes before the gateway: takes it if a route is for it that no
   * guard has to see, and spares it a framework that would do nothing for it.
   */
  takeFirst(request: IncomingMessage, response: ServerResponse): boolean {
    const path = normalPath(request.url ?? '/');
    const found = path === undefined ? undefined : this.parts.routes.find(path, request);
    if (path === undefined || found === undefined || !this.parts.guards.isOpen(found.route)) return false;
    const incoming = incomingOf(request, response);
    incoming.route = found.route.id;
    this.go(incoming, found, path).catch((error: unknown) => this.answerError(incoming, error));
    return true;
  }

  /** A server's event: WebSockets. */
  readonly upgrade =
    (server: Server) =>
    (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const path = normalPath(request.url ?? '/');
      const found = path === undefined ? undefined : this.parts.routes.find(path, request);
      if (path !== undefined && found?.route.takesWebSockets === true) {
        if (!asksForWebSocket(request)) {
          answerProblem(responseOn(request, socket), {
            status: 400,
            code: 'BAD_UPGRADE',
            detail: 'of upgrades only WebSockets are passed on',
            closes: true,
          });
          return;
        }
        this.passUpgrade(request, socket, head, path, found).catch((error: unknown) => {
          this.parts.logger.error(`the gateway failed to pass on a WebSocket: ${messageOf(error)}`);
          socket.destroy();
        });
        return;
      }
      // Others may take it; alone, nobody would ever answer.
      if (server.listenerCount('upgrade') > 1) return;
      const response = responseOn(request, socket);
      answerProblem(response, { status: 404, code: 'NO_ROUTE', detail: 'nothing takes WebSockets here', closes: true });
    };

  /** @returns whether a route is for it */
  private take(message: IncomingMessage, target: string, request: object, response: object): boolean {
    const path = normalPath(target);
    // What can be read in two ways is never passed on; the app's own routes may do with it what they like.
    if (path === undefined) return false;
    const { routes, guards, mayBecome } = this.parts;
    const found = routes.find(path, message);
    if (found === undefined) {
      if (!mayBecome(path.segments)) return false;
      const incoming = incomingOf(request, response);
      incoming.takeOver();
      answerProblem(incoming.response, {
        status: 503,
        code: 'NO_SNAPSHOT',
        detail: 'no registry has told yet which services there are',
        retryAfterSeconds: 5,
        closes: !message.complete,
      });
      return true;
    }
    const { route } = found;
    const incoming = incomingOf(request, response);
    incoming.route = route.id;
    const done = guards.isOpen(route)
      ? this.go(incoming, found, path)
      : guards.check(route, request, response).then(() => {
          // A guard may have answered by itself.
          const isOver = incoming.response.writableEnded || incoming.response.headersSent;
          return isOver ? undefined : this.go(incoming, found, path);
        });
    done.catch((error: unknown) => this.answerError(incoming, error));
    return true;
  }

  private go(incoming: Incoming, { route, match }: Found, path: NormalPath): Promise<unknown> {
    return this.parts.proxy.pass(incoming, route.service, route.options, () => route.destination(path, match));
  }

  private async passUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    path: NormalPath,
    { route, match }: Found,
  ): Promise<void> {
    const { guards, upgrades } = this.parts;
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    if (!guards.isOpen(route)) {
      const response = responseOn(request, socket);
      const incoming = incomingOf(request, response);
      try {
        await guards.check(route, request, response);
      } catch (error) {
        response.setHeader('connection', 'close');
        return this.answerError(incoming, error);
      }
      if (response.headersSent) return;
      response.detachSocket(socket as Parameters<ServerResponse['detachSocket']>[0]);
    }
    await upgrades.pass(request, socket, head, route, route.destination(path, match));
  }

  /** What a guard threw, as Nest answers it. */
  private answerError({ response, takeOver }: Incoming, error: unknown): void {
    if (response.headersSent) return void response.destroy();
    takeOver();
    const isHttp = error instanceof HttpException;
    if (!isHttp) this.parts.logger.error(`the gateway: a guard failed: ${messageOf(error)}`);
    const status = isHttp ? error.getStatus() : 500;
    const told = isHttp ? error.getResponse() : { statusCode: 500, message: 'Internal server error' };
    const body = Buffer.from(JSON.stringify(typeof told === 'string' ? { statusCode: status, message: told } : told));
    response.statusCode = status;
    response.setHeader('content-type', 'application/json; charset=utf-8');
    response.setHeader('content-length', body.length);
    response.end(body);
  }
}

/**
 * Whether it is a handshake of RFC 6455, which has no body. Other protocols are not passed on: over HTTP/2 (`h2c`) one could ask a
 * service for anything then, by no route and no guard.
 */
function asksForWebSocket(request: IncomingMessage): boolean {
  const { method, headers } = request;
  if (hasTooManyHeaders(request)) return false;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && !hasBody;
}

/** A response on a socket that asks for an upgrade, for the one who refuses it. */
export function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0]);
  response.once('finish', () => socket.end());
  return response;
}
