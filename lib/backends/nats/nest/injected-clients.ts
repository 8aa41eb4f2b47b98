import { Inject, type FactoryProvider } from '@nestjs/common';
import { assertServiceName } from '../service/names.js';
import { NatsServicesHost } from './services-host.js';

/** What decorators have asked for so far; the lists only grow, and Nest reads them when it scans their module. */
export const declaredClients: {
  readonly providers: FactoryProvider[];
  readonly tokens: string[];
  /** Told of what comes later, from lazily loaded modules. */
  readonly listeners: Set<(provider: FactoryProvider) => void>;
} = { providers: [], tokens: [], listeners: new Set() };

/** The injection token of `@InjectNatsService(service)`, for `overrideProvider` in tests. */
export function getNatsServiceToken(service: string): string {
  return `nestjs-service-discovery:nats:client:${service}`;
}

/**
 * Injects a `NatsServiceClient` that calls the endpoints of a service, into a constructor parameter or a property, in any
 * module.
 *
 * @throws DiscoveryError `INVALID_NAME`, when the class is defined
 * @publicApi
 */
export function InjectNatsService(service: string): ParameterDecorator & PropertyDecorator {
  assertServiceName(service, 'service');
  const token = getNatsServiceToken(service);
  if (!declaredClients.tokens.includes(token)) {
    const provider: FactoryProvider = {
      provide: token,
      useFactory: (host: NatsServicesHost) => host.clientOf(service),
      inject: [NatsServicesHost],
    };
    declaredClients.providers.push(provider);
    declaredClients.tokens.push(token);
    for (const tell of declaredClients.listeners) tell(provider);
  }
  return Inject(token);
}
