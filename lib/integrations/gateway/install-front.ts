import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { HttpAdapterHost } from '@nestjs/core';
import type { Logger } from '../../backend/index.js';
import type { GatewayFront } from './gateway-front.js';

/** What of Fastify is used here. */
interface Fastify {
  addHook(name: 'onRequest', hook: GatewayFront['hook']): unknown;
}

/** A layer of Express's router: what it runs, and whether that is a function with a name. */
interface Layer {
  readonly handle: { readonly name?: string; toString(): string };
}

/** What of Express is used here: version 5 has `router`, version 4 `_router`. */
interface Express {
  use(middleware: GatewayFront['middleware']): unknown;
  readonly router?: { readonly stack?: Layer[] };
}

/** What Nest's body parsers are called; Nest itself looks for these names. */
const PARSERS: ReadonlySet<string> = new Set(['jsonParser', 'urlencodedParser', 'rawParser', 'textParser']);

/**
 * Puts the gateway before the app's body parsers, and after what `app.use` has added before them. To be called when Nest
 * configures middleware.
 */
export function installFront(adapter: HttpAdapterHost['httpAdapter'], front: GatewayFront, logger: Logger): void {
  const instance: unknown = adapter.getInstance();
  if (adapter.getType() === 'fastify') {
    (instance as Fastify).addHook('onRequest', front.hook);
    return;
  }
  const express = instance as Express;
  express.use(front.middleware);
  const stack = express.router?.stack;
  if (stack === undefined) {
    logger.warn('the gateway could not be put before the body parsers: bodies are read whole and written anew');
    return;
  }
  const at = stack.findIndex(({ handle }) => PARSERS.has(handle.name ?? ''));
  const own = at === -1 ? undefined : stack.pop();
  if (own !== undefined) stack.splice(at, 0, own);
  goAhead(adapter, express, front);
}

/** What of Nest's adapter for Express is used here: hooks for each request, which the adapter's own middleware runs. */
interface WithHooks {
  readonly onRequestHook?: unknown;
  readonly onResponseHook?: unknown;
}

/**
 * As long as nothing of the app's stands before the gateway on Express, its requests needn't go through it: what Express makes of
 * a request and a response costs as much as passing one on.
 */
function goAhead(adapter: HttpAdapterHost['httpAdapter'], express: Express, front: GatewayFront): void {
  const app = express as unknown as (request: IncomingMessage, response: ServerResponse) => void;
  const server = adapter.getHttpServer() as Server | undefined;
  if (server?.listeners('request').includes(app) !== true) return;
  const hooks: WithHooks = adapter as unknown as WithHooks;
  const first = express.router?.stack?.[0]?.handle;
  // The adapter's own, which has no name. Should it look otherwise one day, requests go through Express.
  const ofHooks = first !== undefined && first.toString().includes('this.onRequestHook') ? first : undefined;
  const isFirst = (): boolean => {
    const stack = express.router?.stack;
    if (stack?.[0]?.handle === front.middleware) return true;
    const runsHooks = hooks.onRequestHook !== undefined || hooks.onResponseHook !== undefined;
    return !runsHooks && stack?.[0]?.handle === ofHooks && stack?.[1]?.handle === front.middleware;
  };
  server.off('request', app);
  server.on('request', (request, response) => {
    if (!isFirst() || !front.takeFirst(request, response)) app(request, response);
  });
}
