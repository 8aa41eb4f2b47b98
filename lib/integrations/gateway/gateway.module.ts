import { Global, Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import { createProxy } from './create-proxy.js';
import { checkGatewayOptions, type ServiceGatewayOptions } from './gateway.options.js';
import { ServiceProxy } from './service-proxy.js';

/**
 * Passes requests on to services by their names. Import it once, in the root module, beside `DiscoveryModule`; its
 * {@link ServiceProxy} can be injected everywhere.
 *
 * @publicApi
 */
@Global()
@Module({})
export class ServiceGatewayModule {
  /**
   * The module with its options.
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  static forRoot(options: ServiceGatewayOptions = {}): DynamicModule {
    checkGatewayOptions(options);
    return {
      module: ServiceGatewayModule,
      providers: [
        {
          provide: ServiceProxy,
          useFactory: (runtime: DiscoveryRuntime) => createProxy(runtime, options),
          inject: [DiscoveryRuntime],
        },
      ],
      exports: [ServiceProxy],
    };
  }
}
