import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { DiscoveryError } from '../../../model/index.js';
import { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import { ConsulClient } from '../client/consul-client.js';
import { ConsulBackend } from '../consul.backend.js';
import { ConsulLocks } from '../consul.locks.js';

/**
 * Makes what the app's Consul backend has injectable: {@link ConsulClient}, and {@link ConsulLocks} for locks and leader
 * elections. Both use the backend's connections and token, and end with the app.
 *
 * ```ts
 * @Module({ imports: [ConsulModule, DiscoveryModule.forRoot({ registry: consul() })] })
 * ```
 *
 * Of several Consul backends the first is taken; {@link ConsulModule.forBackend} takes one by its name.
 *
 * @publicApi
 */
@Module({
  providers: providersFor(undefined),
  exports: [ConsulClient, ConsulLocks],
})
export class ConsulModule {
  /** The module for the backend of this name. */
  static forBackend(name: string): DynamicModule {
    return { module: ConsulModule, providers: providersFor(name), exports: [ConsulClient, ConsulLocks] };
  }
}

function providersFor(name: string | undefined): Provider[] {
  return [
    {
      provide: ConsulClient,
      useFactory: (runtime: DiscoveryRuntime) => backendOf(runtime, name).client,
      inject: [DiscoveryRuntime],
    },
    {
      provide: ConsulLocks,
      useFactory: (runtime: DiscoveryRuntime) => backendOf(runtime, name).locks,
      inject: [DiscoveryRuntime],
    },
  ];
}

function backendOf(runtime: DiscoveryRuntime, name: string | undefined): ConsulBackend {
  for (const backend of runtime.backends.all) {
    if (backend instanceof ConsulBackend && (name === undefined || backend.name === name)) return backend;
  }
  throw new DiscoveryError(
    'INVALID_OPTION',
    `ConsulModule: the app has no Consul backend${name === undefined ? '' : ` called '${name}'`}; give consul() to DiscoveryModule.forRoot as registry or config`,
    { field: name === undefined ? 'registry' : 'name' },
  );
}
