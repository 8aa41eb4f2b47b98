import {
  Global,
  Inject,
  Module,
  type DynamicModule,
  type FactoryProvider,
  type OnApplicationShutdown,
  type Provider,
} from '@nestjs/common';
import { APP_INTERCEPTOR, ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { ConfigClient } from '../config/index.js';
import { DiscoveryClient } from '../discovery/index.js';
import { ServiceFetch, ServiceHttpClient } from '../http/index.js';
import { EventHub } from '../observability/index.js';
import { ServiceRegistry } from '../registration/index.js';
import { AppInstanceBinder } from './app-instance-binder.js';
import { AppInstances } from './app-instances.js';
import { AppRegistration } from './app-registration.js';
import { declared } from './declared-providers.js';
import { InstanceBinder } from './declarations.js';
import { DISCOVERY_MODULE_OPTIONS, DISCOVERY_TRANSPORT } from './discovery.constants.js';
import type { DiscoveryModuleOptions } from './discovery-options.interface.js';
import { DiscoveryRuntime } from './discovery-runtime.js';
import { DiscoveryTelemetry } from './discovery-telemetry.js';
import { HandlerExplorer } from './handler-explorer.js';
import { HookCaller } from './hook-caller.js';
import { resolveOptions, transportOptions } from './resolve-options.js';
import { ResponseDataInterceptor } from './response-data.interceptor.js';

/** The clients and values that decorators declared. Its lists go on growing until Nest reads them. */
@Global()
@Module({ providers: declared.providers, exports: declared.tokens })
export class DeclaredProvidersModule {}

const PROVIDERS: Provider[] = [
  { provide: DISCOVERY_TRANSPORT, useValue: null },
  {
    provide: DiscoveryRuntime,
    useFactory: (options: DiscoveryModuleOptions | undefined, transport: DiscoveryModuleOptions['transport'] | null) =>
      DiscoveryRuntime.start({
        ...resolveOptions(options),
        ...(transport === null ? {} : { transport: transportOptions(transport) }),
      }),
    inject: [{ token: DISCOVERY_MODULE_OPTIONS, optional: true }, DISCOVERY_TRANSPORT],
  },
  {
    provide: DiscoveryClient,
    useFactory: (runtime: DiscoveryRuntime) => runtime.discovery,
    inject: [DiscoveryRuntime],
  },
  { provide: ServiceRegistry, useFactory: (runtime: DiscoveryRuntime) => runtime.registry, inject: [DiscoveryRuntime] },
  { provide: ConfigClient, useFactory: (runtime: DiscoveryRuntime) => runtime.config, inject: [DiscoveryRuntime] },
  { provide: EventHub, useFactory: (runtime: DiscoveryRuntime) => runtime.events, inject: [DiscoveryRuntime] },
  {
    provide: ServiceHttpClient,
    useFactory: (runtime: DiscoveryRuntime) => runtime.unboundClient(),
    inject: [DiscoveryRuntime],
  },
  {
    provide: DiscoveryTelemetry,
    useFactory: (runtime: DiscoveryRuntime) => new DiscoveryTelemetry(runtime),
    inject: [DiscoveryRuntime],
  },
  {
    provide: ServiceFetch,
    useFactory: (client: ServiceHttpClient) => new ServiceFetch(client.fetch),
    inject: [ServiceHttpClient],
  },
  AppInstances,
  {
    provide: HookCaller,
    useFactory: (instances: AppInstances, { options, logger }: DiscoveryRuntime) =>
      new HookCaller(instances, options.clock, logger),
    inject: [AppInstances, DiscoveryRuntime],
  },
  {
    provide: AppRegistration,
    useFactory: (...parts: ConstructorParameters<typeof AppRegistration>) => new AppRegistration(...parts),
    inject: [DiscoveryRuntime, HookCaller, HttpAdapterHost, ModulesContainer, ApplicationConfig],
  },
  {
    provide: InstanceBinder,
    useFactory: (runtime: DiscoveryRuntime) => new AppInstanceBinder(runtime),
    inject: [DiscoveryRuntime],
  },
  {
    provide: HandlerExplorer,
    useFactory: (instances: AppInstances, runtime: DiscoveryRuntime) => new HandlerExplorer(instances, runtime),
    inject: [AppInstances, DiscoveryRuntime],
  },
  { provide: APP_INTERCEPTOR, useClass: ResponseDataInterceptor },
];

const EXPORTS = [
  DiscoveryRuntime,
  DiscoveryClient,
  ServiceRegistry,
  ConfigClient,
  EventHub,
  DiscoveryTelemetry,
  ServiceHttpClient,
  ServiceFetch,
  AppRegistration,
  InstanceBinder,
  AppInstances,
  HandlerExplorer,
  HookCaller,
];

/** What every module of the app may inject. Global, and therefore the last to be closed: it closes the backends. */
@Global()
@Module({})
export class DiscoveryCoreModule implements OnApplicationShutdown {
  private readonly insert = (provider: FactoryProvider): void => this.insertLate(provider);

  constructor(
    @Inject(DiscoveryRuntime) private readonly runtime: DiscoveryRuntime,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    // What was declared since Nest read the lists, and whatever comes from now on, from lazily loaded modules.
    for (const provider of declared.providers) this.insert(provider);
    declared.listeners.add(this.insert);
  }

  /** The module with its options. */
  static withOptions(options: readonly Provider[], imports: DynamicModule['imports'] = []): DynamicModule {
    return {
      module: DiscoveryCoreModule,
      imports: [...imports, DeclaredProvidersModule],
      providers: [...options, ...PROVIDERS],
      exports: EXPORTS,
    };
  }

  async onApplicationShutdown(): Promise<void> {
    declared.listeners.delete(this.insert);
    await this.runtime.close();
  }

  private insertLate(provider: FactoryProvider): void {
    for (const module of this.modules.values()) {
      if (module.metatype !== DeclaredProvidersModule || module.providers.has(provider.provide)) continue;
      module.addProvider(provider);
      module.addExportedProviderOrModule(provider);
    }
  }
}
