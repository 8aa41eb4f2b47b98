import { isDeepStrictEqual } from 'node:util';
import { Inject } from '@nestjs/common';
import { assertServiceName } from '../../../model/index.js';
import { declare } from '../../../nest/declared-providers.js';
import { tokenOf } from '../../../nest/discovery.constants.js';
import { MessageDiscovery } from './message-discovery.js';
import { checkMessageOptions, type MessageTargetOptions } from './messages.options.js';

interface Declared {
  readonly service: string;
  readonly options: MessageTargetOptions;
  readonly token: string;
}

const all: Declared[] = [];

/**
 * Injects Nest's `ClientProxy` for a service, in any module: `@DiscoverableClientProxy('STOCK') private readonly stock: ClientProxy`.
 * Its `send` and `emit` go to an instance that the app's load balancer picks, over Nest's TCP. It is closed with the app.
 *
 * @param service the service's name in the registry
 * @param options what differs from `forRoot({ http, clients })` for its calls
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function DiscoverableClientProxy(
  service: string,
  options: MessageTargetOptions = {},
): ParameterDecorator & PropertyDecorator {
  const token = getDiscoverableClientProxyToken(service, options);
  return (target: object, key: string | symbol | undefined, index?: number) => {
    if (index !== undefined) Inject(token)(target, key, index);
    else if (key !== undefined) Inject(token)(target, key);
  };
}

/** The injection token of `@DiscoverableClientProxy(service, options)`, for `overrideProvider` in tests. */
export function getDiscoverableClientProxyToken(service: string, options: MessageTargetOptions = {}): string {
  const known = all.find((one) => one.service === service && isDeepStrictEqual(one.options, options));
  if (known !== undefined) return known.token;
  assertServiceName(service, 'service');
  checkMessageOptions(`@DiscoverableClientProxy('${service}')`, options);
  const count = all.filter((one) => one.service === service).length;
  const token = tokenOf('messages', count === 0 ? service : `${service}:${count}`);
  all.push({ service, options, token });
  declare(token, async (runtime) => {
    const target = await new MessageDiscovery(runtime).target(service, options);
    const client = new target.customClass(target.options) as { close(): void };
    runtime.closeLast(async () => client.close());
    return client;
  });
  return token;
}
