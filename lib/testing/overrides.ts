import type { CallOptions, ServiceHttpClient } from '../http/index.js';
import { DISCOVERY_TRANSPORT, getDiscoverableClientToken, type DiscoveryModuleOptions } from '../nest/index.js';

/** The part of Nest's `TestingModuleBuilder` that is used here. */
interface OverridingBuilder<B> {
  overrideProvider(token: unknown): { useValue(value: unknown): B };
}

/**
 * Replaces what `@DiscoverableClient(service, options)` injects, in a testing module:
 *
 * ```ts
 * const builder = Test.createTestingModule({ imports: [AppModule] });
 * const module = await overrideDiscoverableClient(builder, 'STOCK', { get: () => of({ data: { left: 3 } }) }).compile();
 * ```
 *
 * @param builder what `Test.createTestingModule` returned
 * @param service the service's name, as the decorator has it
 * @param client stands in for the client: the methods that the code under test calls are enough
 * @param options the decorator's options, if it has any
 * @returns the builder
 */
export function overrideDiscoverableClient<B>(
  builder: OverridingBuilder<B>,
  service: string,
  client: { readonly [K in keyof ServiceHttpClient]?: unknown },
  options: CallOptions = {},
): B {
  return builder.overrideProvider(getDiscoverableClientToken(service, options)).useValue(client);
}

/**
 * Sends an app's calls another way than its options say, in a testing module: through axios's own adapter, which HTTP
 * mocks such as nock see.
 *
 * @param builder what `Test.createTestingModule` returned
 * @param transport as in the module's options
 * @returns the builder
 */
export function overrideTransport<B>(
  builder: OverridingBuilder<B>,
  transport: NonNullable<DiscoveryModuleOptions['transport']> = 'axios',
): B {
  return builder.overrideProvider(DISCOVERY_TRANSPORT).useValue(transport);
}
