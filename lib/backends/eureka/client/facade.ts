import { DiscoveryError } from '../../../model/index.js';
import type { EurekaClientOptions } from './client-options.js';
import type { DoServiceOptions, WalkNodesOptions } from './do-service.js';
import { EurekaClient } from './eureka-client.js';
import type { Walker } from './walker.js';

// The one client of this process, for programs that want no object to pass around. Nothing else in the library is
// static: apps and tests use EurekaClient.
let current: EurekaClient | undefined;

/** Stops the client of a former call, makes one and starts it; resolves with it. Options as for `EurekaClient`. */
export async function initEureka(options: EurekaClientOptions): Promise<EurekaClient> {
  const next = new EurekaClient(options);
  const former = current;
  current = next;
  await former?.stop();
  await next.start();
  return next;
}

/** The client of the last {@link initEureka}; undefined before that and after {@link stopEureka}. */
export function getEurekaClient(): EurekaClient | undefined {
  return current;
}

/** `doService` of the process's client. @throws DiscoveryError `BACKEND_CLOSED` when there is none */
export function doService<T>(
  name: string,
  path: string,
  options: DoServiceOptions & { readonly returnType: 'json' | 'response' },
): Promise<T>;
export function doService(
  name: string,
  path: string,
  options?: DoServiceOptions & { readonly returnType?: 'string' | undefined },
): Promise<string>;
export async function doService(name: string, path: string, options: DoServiceOptions = {}): Promise<unknown> {
  const { returnType } = options;
  const client = theClient();
  if (returnType === 'json') return client.doService<unknown>(name, path, { ...options, returnType });
  if (returnType === 'response') return client.doService<unknown>(name, path, { ...options, returnType });
  return client.doService(name, path, { ...options, returnType: 'string' });
}

/** `walkNodes` of the process's client. @throws DiscoveryError `BACKEND_CLOSED` when there is none */
export async function walkNodes<T>(
  name: string,
  path: string,
  walker: Walker<T>,
  options?: WalkNodesOptions,
): Promise<T> {
  return theClient().walkNodes(name, path, walker, options);
}

/** Stops the process's client; nothing happens when there is none. Safe from inside a callback. */
export async function stopEureka(): Promise<void> {
  const former = current;
  current = undefined;
  await former?.stop();
}

function theClient(): EurekaClient {
  if (current !== undefined) return current;
  throw new DiscoveryError('BACKEND_CLOSED', 'there is no Eureka client: call initEureka first');
}
