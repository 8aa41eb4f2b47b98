import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { DiscoveryModule, type DiscoveryModuleOptions } from '../../../lib/index.js';
import { DiscoveryOperatorModule, type DiscoveryOperatorOptions } from '../../../lib/integrations/operator/index.js';
import type { InMemoryRegistry } from '../../../lib/testing/index.js';

/** An app with the operator's module on it. */
export function operated(
  registry: InMemoryRegistry,
  operator: DiscoveryOperatorOptions = {},
  options: Partial<DiscoveryModuleOptions> = {},
  more: readonly (DynamicModule | Type)[] = [],
  providers: Provider[] = [],
): Type {
  @Module({
    providers,
    imports: [
      ...more,
      DiscoveryOperatorModule.register(operator),
      DiscoveryModule.forRoot({
        service: { name: 'SHOP', metadata: { version: '1', 'user.password': 'geheim' } },
        registry: registry.backend(),
        config: registry.backend({ name: 'config' }),
        configOptions: { environment: false, commandLine: false },
        ...options,
      }),
    ],
  })
  class AppModule {}
  return AppModule;
}
