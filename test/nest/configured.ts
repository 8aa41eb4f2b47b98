import { Module, type Type } from '@nestjs/common';
import { DiscoveryModule, type DiscoveryModuleOptions } from '../../lib/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';

/** A registry with a document that all apps share. */
export function configured(yaml: string): InMemoryRegistry {
  const registry = new InMemoryRegistry();
  registry.setDocument('application.yaml', yaml, 'yaml');
  return registry;
}

/** An app on it. */
export function moduleWith(registry: InMemoryRegistry, providers: Type[], options: DiscoveryModuleOptions = {}): Type {
  const backend = registry.backend();
  @Module({ providers, imports: [DiscoveryModule.forRoot({ registry: backend, config: backend, ...options })] })
  class AppModule {}
  return AppModule;
}
