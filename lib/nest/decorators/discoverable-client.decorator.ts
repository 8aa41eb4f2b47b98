import { Inject } from '@nestjs/common';
import { checkOptions } from '../../backend/index.js';
import type { STRATEGIES } from '../../balancing/index.js';
import type { CallOptions } from '../../http/index.js';
import { assertServiceName } from '../../model/index.js';
import { declarationsOf } from '../declarations.js';
import { declareClient } from '../declared-providers.js';
import { CALL_OPTIONS } from '../check-module-options.js';

/** Options of one injected client: all but functions, which go into `forRoot({ clients })`. */
export type DiscoverableClientOptions = Omit<CallOptions, 'balancing' | 'fallback' | 'policy'> & {
  readonly balancing?: (typeof STRATEGIES)[number];
};

/**
 * Injects a `ServiceHttpClient` that is bound to a service, into a constructor parameter or a property, in any module:
 * `@DiscoverableClient('STOCK') private readonly stock: ServiceHttpClient`. Its watch opens when the app starts.
 *
 * @param service the service's name
 * @param options what differs from `forRoot({ http, clients })` for this client
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function DiscoverableClient(
  service: string,
  options: DiscoverableClientOptions = {},
): ParameterDecorator & PropertyDecorator {
  assertServiceName(service, 'service');
  checkOptions(`@DiscoverableClient('${service}')`, options, CALL_OPTIONS);
  const token = declareClient(service, options);
  return (target: object, key: string | symbol | undefined, index?: number) => {
    injectToken(token, target, key, index);
    declarationsOf(prototypeOf(target)).clients.push(token);
  };
}

/** `@Inject(token)` on whatever was decorated: a property, or a parameter of the constructor. */
export function injectToken(
  token: string,
  target: object,
  key: string | symbol | undefined,
  index: number | undefined,
): void {
  if (index !== undefined) Inject(token)(target, key, index);
  else if (key !== undefined) Inject(token)(target, key);
}

/** Parameter decorators of a constructor get the class, all others its prototype. */
export function prototypeOf(target: object): object {
  return typeof target === 'function' ? (target.prototype as object) : target;
}
