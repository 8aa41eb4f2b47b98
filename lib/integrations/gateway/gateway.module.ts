import type { Server } from 'node:http';
import {
  Global,
  Inject,
  Module,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost, ModuleRef, ModulesContainer } from '@nestjs/core';
import { basePath } from '../../http/index.js';
import { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import { createProxy } from './create-proxy.js';
import { GatewayFront } from './gateway-front.js';
import { compileRoutes, GatewayRoutesState } from './gateway-routes.js';
import { checkGatewayOptions, type ServiceGatewayOptions } from './gateway.options.js';
import { installFront } from './install-front.js';
import { Locator } from './locator.js';
import { GatewayOpenApi } from './openapi/gateway-openapi.js';
import { ownSegments } from './own-paths.js';
import type { Route } from './route.js';
import { RouteGuards } from './route-guards.js';
import { ServiceProxy } from './service-proxy.js';
import { UpgradeProxy } from './upgrade-proxy.js';

const OPTIONS = 'nestjs-service-discovery:gateway:options';
const ROUTES = 'nestjs-service-discovery:gateway:routes';

/**
 * Passes requests on to services by their names. Import it once, in the root module, beside `DiscoveryModule`; its
 * {@link ServiceProxy} can be injected everywhere.
 *
 * Its routes come before the app's own and before body parsers, after middleware that `app.use` has added (CORS, helmet).
 * The app's global guards are asked, and the route's own; pipes, interceptors and exception filters are not: a controller
 * that calls `ServiceProxy.forward` has all of them.
 *
 * @publicApi
 */
@Global()
@Module({})
export class ServiceGatewayModule implements NestModule, OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  /** @internal */
  readonly openApi: GatewayOpenApi;
  private readonly guards: RouteGuards;
  private readonly routes: GatewayRoutesState;
  private readonly upgrades: UpgradeProxy;
  private locator: Locator | undefined;
  private stopFollowing: () => void = () => {};

  /** @internal Made by Nest. */
  constructor(
    @Inject(OPTIONS) private readonly options: ServiceGatewayOptions,
    @Inject(ROUTES) private readonly own: readonly Route[],
    @Inject(ServiceProxy) private readonly proxy: ServiceProxy,
    @Inject(DiscoveryRuntime) private readonly runtime: DiscoveryRuntime,
    @Inject(ModuleRef) modules: ModuleRef,
    @Inject(ModulesContainer) private readonly container: ModulesContainer,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {
    const { namedGuards = {}, globalGuards = true } = options;
    this.guards = new RouteGuards(modules, config, namedGuards, globalGuards);
    this.routes = new GatewayRoutesState(own, this.guards, runtime.logger);
    this.upgrades = new UpgradeProxy(proxy.parts);
    this.openApi = new GatewayOpenApi({
      options: options.openApi,
      routes: () => this.routes.routes,
      client: runtime.unboundClient(),
      basePathOf: (service, { metadata }) => basePath(metadata[runtime.callOptionsFor(service, {}).basePathMetadata]),
      clock: runtime.options.clock,
      logger: runtime.logger,
    });
  }

  /**
   * The module with its options.
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  static forRoot(options: ServiceGatewayOptions = {}): DynamicModule {
    checkGatewayOptions(options);
    return {
      module: ServiceGatewayModule,
      providers: [
        { provide: OPTIONS, useValue: options },
        { provide: ROUTES, useValue: compileRoutes(options.routes ?? []) },
        {
          provide: ServiceProxy,
          useFactory: (runtime: DiscoveryRuntime) => createProxy(runtime, options),
          inject: [DiscoveryRuntime],
        },
        {
          provide: GatewayOpenApi,
          useFactory: ({ openApi }: ServiceGatewayModule) => openApi,
          inject: [ServiceGatewayModule],
        },
      ],
      exports: [ServiceProxy, GatewayOpenApi],
    };
  }

  configure(_consumer: MiddlewareConsumer): void {
    const { routes, routesFrom, locator } = this.options;
    if ((routes ?? []).length === 0 && routesFrom === undefined && locator === undefined) return;
    const { proxy, upgrades, guards, runtime } = this;
    const front = new GatewayFront({
      proxy,
      upgrades,
      guards,
      routes: this.routes,
      logger: runtime.logger,
      mayBecome: (segments) => this.locator?.mayBecome(segments) === true,
    });
    runtime.routed.routes = () => this.routes.routes;
    installFront(this.host.httpAdapter, front, runtime.logger);
    const server = this.host.httpAdapter.getHttpServer() as Server | undefined;
    server?.on('upgrade', front.upgrade(server));
  }

  async onModuleInit(): Promise<void> {
    await this.guards.prepare(this.own);
    const { locator, routesFrom } = this.options;
    if (routesFrom !== undefined) {
      this.stopFollowing = await this.routes.follow(this.runtime.config, routesFrom);
    }
    if (locator === undefined) return;
    this.locator = new Locator(locator, {
      discovery: this.runtime.discovery,
      clock: this.runtime.options.clock,
      logger: this.runtime.logger,
      reserved: ownSegments(this.container, this.config),
      onRoutes: (located) => this.routes.locate(located),
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    if (this.locator === undefined) return;
    await this.guards.prepare([this.locator.sample]);
    this.locator.start();
  }

  onApplicationShutdown(): void {
    this.stopFollowing();
    this.locator?.close();
  }
}
