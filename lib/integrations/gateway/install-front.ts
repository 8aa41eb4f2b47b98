import type { HttpAdapterHost } from '@nestjs/core';
import type { Logger } from '../../backend/index.js';
import { goAhead, type Layer } from './ahead-of-express.js';
import type { GatewayFront } from './gateway-front.js';

/** What of Fastify is used here. */
interface Fastify {
  addHook(name: 'onRequest', hook: GatewayFront['hook']): unknown;
}

/** What of Express 5 is used here. */
interface Express {
  use(middleware: GatewayFront['middleware']): unknown;
  readonly router?: { readonly stack?: Layer[] };
}

/** What Nest's body parsers are called; Nest itself looks for these names. */
const PARSERS: ReadonlySet<string> = new Set(['jsonParser', 'urlencodedParser', 'rawParser', 'textParser']);

/**
 * Puts the gateway before the app's last body parsers, which are Nest's, and after everything else that `app.use` has added.
 * To be called when Nest configures middleware.
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
  const own = stack.pop();
  let at = stack.length;
  // Those at the end only: what the app has put after a parser of its own (a session, helmet, CORS) comes before the gateway too.
  while (PARSERS.has(stack[at - 1]?.handle.name ?? '')) at -= 1;
  if (own !== undefined) stack.splice(at, 0, own);
  goAhead(adapter, front, () => express.router?.stack);
}
