import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { AbstractHttpAdapter, type HttpAdapterHost } from '@nestjs/core';
import type { GatewayFront } from './gateway-front.js';

type Adapter = HttpAdapterHost['httpAdapter'];
type Middleware = (request: object, response: object, next: (error?: unknown) => void) => unknown;

/** A layer of Express's router. */
export interface Layer {
  readonly handle: (...args: never[]) => unknown;
}

/** Hooks for each request, which the middleware of Nest's adapter runs. */
const HOOKS = ['onRequestHook', 'onResponseHook'] as const;

/**
 * As long as nothing of the app's stands before the gateway on Express, its requests needn't go through it: what Express makes of
 * a request and a response costs as much as passing one on. Whatever isn't known to do nothing is something of the app's.
 *
 * @param stackOf Express's layers, as they are now
 */
export function goAhead(adapter: Adapter, front: GatewayFront, stackOf: () => readonly Layer[] | undefined): void {
  const app = adapter.getInstance<(request: IncomingMessage, response: ServerResponse) => void>();
  const server = adapter.getHttpServer() as Server | undefined;
  if (server?.listeners('request').includes(app) !== true) return;
  const first = stackOf()?.[0]?.handle;
  const ofHooks = first !== undefined && isHookRunner(adapter, first) ? first : undefined;
  const isFirst = (): boolean => {
    const stack = stackOf();
    const at = ofHooks !== undefined && stack?.[0]?.handle === ofHooks ? 1 : 0;
    return stack?.[at]?.handle === front.middleware && (at === 0 || !hasHooks(adapter));
  };
  server.off('request', app);
  server.on('request', (request, response) => {
    if (!isFirst() || !front.takeFirst(request, response)) app(request, response);
  });
}

function hasHooks(adapter: object): boolean {
  const given = adapter as Partial<Record<(typeof HOOKS)[number], unknown>>;
  return HOOKS.some((name) => given[name] !== undefined && given[name] !== null);
}

/**
 * Whether a function is the one that Nest's adapter puts before everything, and does nothing without hooks. It has no name: another
 * adapter of that class is made, which can do nothing but tell what it puts there; that must be the same code, and is tried.
 */
export function isHookRunner(adapter: object, given: Layer['handle']): boolean {
  const added: unknown[] = [];
  try {
    const made: unknown = Reflect.construct(nestsOwn(adapter), [{ use: (added_: unknown) => void added.push(added_) }]);
    const [runner] = added;
    if (added.length !== 1 || typeof runner !== 'function' || hasHooks(made as object)) return false;
    // A native function, or a bound one, has no text that says what it is.
    const text = String(runner);
    return !text.includes('[native code]') && text === String(given) && doesNothing(runner as Middleware);
  } catch {
    return false;
  }
}

/** The class right below Nest's abstract one: those that apps derive from it may do anything when they are made. */
function nestsOwn(adapter: object): NewableFunction {
  let prototype: unknown = Object.getPrototypeOf(adapter);
  while (typeof prototype === 'object' && prototype !== null) {
    const above: unknown = Object.getPrototypeOf(prototype);
    if (above === AbstractHttpAdapter.prototype) return prototype.constructor;
    prototype = above;
  }
  throw new TypeError("no adapter of Nest's");
}

/** Whether it goes on at once, without a look at the request or the response. */
function doesNothing(middleware: Middleware): boolean {
  let isTouched = false;
  let calls = 0;
  const touched = (): never => {
    isTouched = true;
    throw new Error('touched');
  };
  const untouchable = new Proxy(
    {},
    { get: touched, set: touched, has: touched, ownKeys: touched, defineProperty: touched },
  );
  middleware(untouchable, untouchable, (...args) => void (calls += args.length === 0 ? 1 : 2));
  return !isTouched && calls === 1;
}
