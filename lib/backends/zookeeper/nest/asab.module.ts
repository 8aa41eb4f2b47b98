import {
  Inject,
  Injectable,
  Module,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestMiddleware,
  type NestModule,
  type Provider,
} from '@nestjs/common';
import { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import { AsabAuthorization } from '../asab/asab.authorization.js';
import { AsabDiscovery } from '../asab/asab.locator.js';
import { AsabTokenVerifier, type AsabTokenOptions } from '../asab/asab.tokens.js';
import { asabTools, AsabTools } from '../asab/asab.tools.js';
import type { IncomingRequest } from '../asab/asab.types.js';
import { AsabAuthGuard } from './asab-auth.guard.js';

/** Options of {@link AsabModule.forRoot}. */
export interface AsabModuleOptions extends AsabTokenOptions {
  /** The ZooKeeper backend's name, when the app has several. @default the first one with the ASAB layout */
  readonly backend?: string;
}

/** Lets calls made while a request is handled know its authorization. */
@Injectable()
export class AsabRequestMiddleware implements NestMiddleware {
  constructor(@Inject(AsabAuthorization) private readonly authorization: AsabAuthorization) {}

  use(request: IncomingRequest, _response: unknown, next: () => void): void {
    this.authorization.within(request, next);
  }
}

/**
 * ASAB's ways in a Nest app: injects {@link AsabDiscovery}, {@link AsabAuthorization}, {@link AsabTools} and
 * {@link AsabAuthGuard}, and makes calls forward the authorization of the request in whose course they are made.
 *
 * ```ts
 * @Module({
 *   imports: [
 *     AsabModule.forRoot({ publicKeysUrl: 'http://seacat-auth.service_id.asab/.well-known/jwks.json' }),
 *     DiscoveryModule.forRoot({ registry: zookeeper({ layout: asab() }) }),
 *   ],
 * })
 * ```
 *
 * The app doesn't start when none of its backends is a ZooKeeper with the ASAB layout.
 */
@Module({})
export class AsabModule implements NestModule {
  static forRoot(options: AsabModuleOptions = {}): DynamicModule {
    const providers: Provider[] = [
      {
        provide: AsabTools,
        useFactory: (runtime: DiscoveryRuntime) => toolsOf(runtime, options.backend),
        inject: [DiscoveryRuntime],
      },
      { provide: AsabDiscovery, useFactory: (tools: AsabTools) => tools.discovery, inject: [AsabTools] },
      { provide: AsabAuthorization, useFactory: (tools: AsabTools) => tools.authorization, inject: [AsabTools] },
      {
        provide: AsabTokenVerifier,
        useFactory: (tools: AsabTools) => new AsabTokenVerifier(tools, options),
        inject: [AsabTools],
      },
      AsabAuthGuard,
      AsabRequestMiddleware,
    ];
    return {
      module: AsabModule,
      global: true,
      providers,
      exports: [AsabTools, AsabDiscovery, AsabAuthorization, AsabTokenVerifier, AsabAuthGuard],
    };
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(AsabRequestMiddleware).forRoutes('{*path}');
  }
}

function toolsOf(runtime: DiscoveryRuntime, name: string | undefined): AsabTools {
  const candidates = runtime.backends.all.filter((backend) => name === undefined || backend.name === name);
  const found = candidates.find((backend) => 'asab' in backend && backend.asab instanceof AsabTools);
  return asabTools(found);
}
