import {
  Inject,
  Module,
  Optional,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestModule,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { DiscoveryError } from '../model/index.js';
import { AppInstanceBinder } from './app-instance-binder.js';
import { AppRegistration } from './app-registration.js';
import { warningOfCopies } from './copies.js';
import { InstanceBinder } from './declarations.js';
import { DISCOVERY_MODULE_OPTIONS } from './discovery.constants.js';
import type {
  DiscoveryModuleAsyncOptions,
  DiscoveryModuleOptions,
  DiscoveryOptionsFactory,
} from './discovery-options.interface.js';
import { DiscoveryCoreModule } from './discovery-core.module.js';
import { DiscoveryRuntime } from './discovery-runtime.js';
import { AppInstances } from './app-instances.js';
import { declared } from './declared-providers.js';
import { HandlerExplorer } from './handler-explorer.js';
import { nestLogger } from './nest-logger.js';
import { IncomingRequests } from './incoming-requests.js';
import { checkModuleOptions } from './check-module-options.js';
import { shutdownAdvice, stopDuration } from './startup-advice.js';

/** Until then `main.ts` has run. */
const ADVICE_AFTER_MS = 1000;

/**
 * Service discovery for an app. Import it once, with `forRoot` or `forRootAsync`, and last in the root module: Nest then
 * runs its shutdown before that of the modules whose databases and queues are still needed while requests come in.
 * Everything that it provides can be injected in every module.
 *
 * @publicApi
 */
@Module({})
export class DiscoveryModule implements NestModule, OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  private readonly requests: IncomingRequests;

  /** @internal Made by Nest. */
  constructor(
    @Optional() @Inject(AppRegistration) private readonly registration: AppRegistration,
    @Optional() @Inject(InstanceBinder) private readonly binder: InstanceBinder,
    @Optional() @Inject(AppInstances) private readonly instances: AppInstances,
    @Optional() @Inject(HandlerExplorer) private readonly handlers: HandlerExplorer,
    @Optional() @Inject(DiscoveryRuntime) private readonly runtime: DiscoveryRuntime,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(HttpAdapterHost) host: HttpAdapterHost,
  ) {
    // Nothing was provided that it could be given.
    if ((registration as AppRegistration | undefined) === undefined) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        'DiscoveryModule was imported as it is: use DiscoveryModule.forRoot() or forRootAsync() in the root module',
        { field: 'imports' },
      );
    }
    const imported = [...modules.values()].filter((module) => module.metatype === DiscoveryModule);
    if (imported.length > 1) {
      throw new DiscoveryError(
        'MODULE_ALREADY_CONFIGURED',
        'DiscoveryModule.forRoot or forRootAsync is imported more than once: import it in the root module only, what it provides is everywhere',
      );
    }
    this.requests = new IncomingRequests(runtime, host);
  }

  /**
   * The module with its options. Without an argument the app registers on the local backend, under the name in
   * `SERVICE_NAME` or in the nearest package.json.
   *
   * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME` or `INVALID_INSTANCE`, naming the field
   */
  static forRoot(options?: DiscoveryModuleOptions): DynamicModule {
    if (options !== undefined) checkModuleOptions(options);
    return withCore([{ provide: DISCOVERY_MODULE_OPTIONS, useValue: options }]);
  }

  /** The module with options that other providers give, checked when they have. */
  static forRootAsync(options: DiscoveryModuleAsyncOptions): DynamicModule {
    return withCore(optionsProviders(options), options.imports);
  }

  configure(consumer: MiddlewareConsumer): void {
    this.requests.follow(consumer);
  }

  async onModuleInit(): Promise<void> {
    await this.orCloseAll(() => {
      if (this.binder instanceof AppInstanceBinder) this.binder.start(this.handlers.exploreSoon);
      for (const type of declared.configClasses) {
        if (this.instances.injects(type)) this.runtime.configObjects.demand(type);
      }
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.orCloseAll(async () => {
      this.handlers.explore();
      await this.registration.start();
    });
    this.adviseSoon();
    void this.runtime.checkOverrides();
  }

  async onModuleDestroy(): Promise<void> {
    await this.registration.shutDown();
    this.handlers.close();
  }

  /** Not at once: some apps wire their shutdown after they listen. */
  private adviseSoon(): void {
    const { logger, options } = this.runtime;
    if (options.service === undefined) return;
    const advise = (): void => {
      if (this.runtime.isClosed || this.registration.shutdown.started) return;
      const { isShutdownWired } = this.registration;
      const advice = shutdownAdvice({ isWired: isShutdownWired, modules: this.modules, own: DiscoveryModule });
      if (advice !== undefined) logger.warn(advice);
      if (isShutdownWired && options.isProduction) logger.log(stopDuration(options.shutdown.totalTimeoutMs));
    };
    options.clock.setTimer(advise, ADVICE_AFTER_MS, { background: true });
  }

  /** A start that fails leaves nothing open: nobody closes an app that never was. */
  private async orCloseAll(step: () => void | Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.handlers.close();
      await this.runtime.close();
      throw error;
    }
  }
}

function withCore(options: readonly Provider[], imports?: DynamicModule['imports']): DynamicModule {
  const core = DiscoveryCoreModule.withOptions(options, imports);
  let checked = false;
  return {
    module: DiscoveryModule,
    /** Read when Nest scans the app: after every decorator has run, and before it misses what another copy declared. */
    get imports() {
      const warning = checked ? undefined : warningOfCopies();
      checked = true;
      if (warning !== undefined) nestLogger('DiscoveryModule').warn(warning);
      return [core];
    },
  };
}

function optionsProviders(options: DiscoveryModuleAsyncOptions): Provider[] {
  const { inject = [], useFactory, useClass, useExisting } = options;
  const given = [useFactory, useClass, useExisting].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      'forRootAsync takes exactly one of useFactory, useClass and useExisting',
      {
        field: 'useFactory',
      },
    );
  }
  if (useFactory !== undefined) return [{ provide: DISCOVERY_MODULE_OPTIONS, useFactory, inject }];
  const token = useExisting ?? useClass ?? DISCOVERY_MODULE_OPTIONS;
  const fromFactory: Provider = {
    provide: DISCOVERY_MODULE_OPTIONS,
    useFactory: (factory: DiscoveryOptionsFactory) => factory.createDiscoveryOptions(),
    inject: [token],
  };
  return useClass === undefined ? [fromFactory] : [fromFactory, useClass];
}
