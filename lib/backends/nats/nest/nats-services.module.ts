import {
  Global,
  Inject,
  Module,
  type DynamicModule,
  type FactoryProvider,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type Provider,
} from '@nestjs/common';
import { ExternalContextCreator, ModuleRef, ModulesContainer } from '@nestjs/core';
import { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import type { BeforeServiceDeregister } from '../../../nest/lifecycle-hooks.interface.js';
import { nestLogger } from '../../../nest/nest-logger.js';
import { NatsBackend } from '../nats.backend.js';
import { NatsClient } from '../nats.client.js';
import { findServices } from './endpoint-explorer.js';
import { declaredClients } from './injected-clients.js';
import { NatsServicesHost, noConnection } from './services-host.js';
import { checkServicesOptions, type NatsServicesAsyncOptions, type NatsServicesOptions } from './services-options.js';

/** The options that were given to the module. */
export const NATS_SERVICES_OPTIONS = 'nestjs-service-discovery:nats:options';

/** The clients that decorators declared. Its lists go on growing until Nest reads them. */
@Global()
@Module({ providers: declaredClients.providers, exports: declaredClients.tokens })
export class NatsServiceClientsModule {}

const HOST: Provider = {
  provide: NatsServicesHost,
  useFactory: async (options: NatsServicesOptions, runtime: DiscoveryRuntime | undefined) => {
    checkServicesOptions(options);
    const host = createHost(options, runtime);
    await host.open();
    return host;
  },
  inject: [NATS_SERVICES_OPTIONS, { token: DiscoveryRuntime, optional: true }],
};

/** Gives the host to every module, and closes its connection last. */
@Global()
@Module({})
export class NatsServicesCoreModule implements OnApplicationShutdown {
  private readonly insert = (provider: FactoryProvider): void => this.insertLate(provider);

  constructor(
    @Inject(NatsServicesHost) private readonly host: NatsServicesHost,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    for (const provider of declaredClients.providers) this.insert(provider);
    declaredClients.listeners.add(this.insert);
  }

  async onApplicationShutdown(): Promise<void> {
    declaredClients.listeners.delete(this.insert);
    await this.host.close();
  }

  private insertLate(provider: FactoryProvider): void {
    for (const module of this.modules.values()) {
      if (module.metatype !== NatsServiceClientsModule || module.providers.has(provider.provide)) continue;
      module.addProvider(provider);
      module.addExportedProviderOrModule(provider);
    }
  }
}

/**
 * The NATS services of an app (`@NatsService`), and clients of others (`@InjectNatsService`). Import it in the root
 * module, after the modules whose databases the services need: Nest then stops the services before them.
 *
 * @publicApi
 */
@Module({})
export class NatsServicesModule implements OnApplicationBootstrap, OnModuleDestroy, BeforeServiceDeregister {
  constructor(
    @Inject(NatsServicesHost) private readonly host: NatsServicesHost,
    @Inject(NATS_SERVICES_OPTIONS) private readonly options: NatsServicesOptions,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(ExternalContextCreator) private readonly contexts: ExternalContextCreator,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /**
   * The module with its options. Without a connection it shares that of `DiscoveryModule`'s `nats()` backend.
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  static forRoot(options: NatsServicesOptions = {}): DynamicModule {
    checkServicesOptions(options);
    return withOptions({ provide: NATS_SERVICES_OPTIONS, useValue: options });
  }

  /** The module with options that other providers give, checked when they have. */
  static forRootAsync(options: NatsServicesAsyncOptions): DynamicModule {
    const { useFactory, inject = [], imports } = options;
    return withOptions({ provide: NATS_SERVICES_OPTIONS, useFactory, inject }, imports);
  }

  async onApplicationBootstrap(): Promise<void> {
    this.host.offer(findServices(this.modules, this.contexts, this.moduleRef));
    if (this.options.autoStart ?? true) await this.host.start();
  }

  /** With `enableGracefulShutdown` this comes before everything else. */
  async beforeServiceDeregister(): Promise<void> {
    await this.host.stop();
  }

  async onModuleDestroy(): Promise<void> {
    await this.host.stop();
  }
}

function withOptions(options: Provider, imports: DynamicModule['imports'] = []): DynamicModule {
  return {
    module: NatsServicesModule,
    imports: [
      {
        module: NatsServicesCoreModule,
        imports: [...imports, NatsServiceClientsModule],
        providers: [options, HOST],
        exports: [NATS_SERVICES_OPTIONS, NatsServicesHost],
      },
    ],
  };
}

function createHost(options: NatsServicesOptions, runtime: DiscoveryRuntime | undefined): NatsServicesHost {
  const logger = nestLogger('NatsServices');
  const lane = runtime?.laneCarrier();
  const within = <T>(headers: Record<string, string>, handle: () => T): T =>
    runtime?.forwardsHeaders === true ? runtime.incoming.within(headers, handle) : handle();
  if (options.connection !== undefined) {
    const client = new NatsClient({ ...options.connection, logger });
    return new NatsServicesHost({
      options,
      logger,
      lane,
      within,
      session: client.session,
      open: () => client.open(),
      close: () => client.close(),
    });
  }
  const backend = runtime?.backends.all.find(
    (one): one is NatsBackend =>
      one instanceof NatsBackend && (options.backend === undefined || one.name === options.backend),
  );
  if (backend === undefined) return noConnection(options.backend);
  const nothing = (): Promise<void> => Promise.resolve();
  const { session, settings } = backend;
  return new NatsServicesHost({
    options,
    logger,
    lane,
    within,
    session,
    apiPrefix: settings.apiPrefix,
    open: nothing,
    close: nothing,
  });
}
