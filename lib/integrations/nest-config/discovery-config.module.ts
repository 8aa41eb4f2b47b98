import { Module, type DynamicModule } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { checkOptions, flag, listOf, peerError, text } from '../../backend/index.js';
import { ConfigClient, type ConfigData } from '../../config/index.js';
import { isHandedOn, type HandedOn } from './config-loader.js';

/** Options of {@link DiscoveryConfigModule}. */
export interface DiscoveryConfigOptions extends HandedOn {
  /** Also write the values into `process.env`, as `ConfigService.set` does by itself: secrets too. @default false */
  readonly processEnv?: boolean;
}

/** What is used of `ConfigService`. */
interface Service {
  set(path: string, value: unknown): void;
}

/** The path of a value: a list, since `ConfigService` writes what has a text for its path into `process.env`. */
class KeyPath extends Array<string> {
  override toString(): string {
    return this.join('.');
  }
}

/** Writes the configuration into `ConfigService`, and each change. */
class ConfigServiceFeed {
  private readonly end: () => void;

  constructor(
    config: ConfigClient,
    private readonly service: Service,
    private readonly options: DiscoveryConfigOptions,
  ) {
    for (const key of config.keys) this.set(key, config.get(key));
    this.end = config.onChange('', ({ changes }) => {
      for (const { key, newValue } of changes) this.set(key, newValue);
    });
  }

  onModuleDestroy(): void {
    this.end();
  }

  private set(key: string, value: ConfigData | undefined): void {
    if (!isHandedOn(key, this.options)) return;
    const path = this.options.processEnv === true ? key : KeyPath.from(key.split('.'));
    this.service.set(path as string, value);
  }
}

const FEED = Symbol('nestjs-service-discovery:config-service-feed');

/**
 * Keeps `ConfigService` of `@nestjs/config` live: every value of the configuration is there under its key, and `changes$` tells of
 * each that changes. `String(path)` of such an event is the key.
 *
 * ```ts
 * imports: [ConfigModule.forRoot({ isGlobal: true }), DiscoveryModule.forRoot({ ... }), DiscoveryConfigModule.forRoot()]
 * ```
 *
 * @publicApi
 */
@Module({})
export class DiscoveryConfigModule {
  /**
   * The app doesn't start without the package `@nestjs/config` (`MISSING_PEER`).
   * @throws DiscoveryError `INVALID_OPTION`, naming the field
   */
  static forRoot(options: DiscoveryConfigOptions = {}): DynamicModule {
    checkOptions('DiscoveryConfigModule.forRoot()', options, { exclude: listOf(text), processEnv: flag });
    return {
      module: DiscoveryConfigModule,
      providers: [
        {
          provide: FEED,
          inject: [ConfigClient, ModuleRef],
          useFactory: async (config: ConfigClient, modules: ModuleRef) =>
            new ConfigServiceFeed(config, modules.get<Service>(await serviceToken(), { strict: false }), options),
        },
      ],
    };
  }
}

/** Loaded when the app starts, so that a missing package is an error that says so. */
async function serviceToken() {
  try {
    return (await import('@nestjs/config')).ConfigService;
  } catch (error) {
    throw peerError('/nest-config', '@nestjs/config', error);
  }
}
