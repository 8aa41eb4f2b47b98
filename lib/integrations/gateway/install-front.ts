import type { HttpAdapterHost } from '@nestjs/core';
import type { Logger } from '../../backend/index.js';
import type { GatewayFront } from './gateway-front.js';

/** What of Fastify is used here. */
interface Fastify {
  addHook(name: 'onRequest', hook: GatewayFront['hook']): unknown;
}

/** A layer of Express's router: what it runs, and whether that is a function with a name. */
interface Layer {
  readonly handle: { readonly name?: string };
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
}
