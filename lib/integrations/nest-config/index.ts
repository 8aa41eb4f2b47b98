/** Configuration for `ConfigService` of `@nestjs/config`: live by {@link DiscoveryConfigModule}, at first by {@link configLoader}. */
export { configLoader, type ConfigReader, type HandedOn } from './config-loader.js';
export { DiscoveryConfigModule, type DiscoveryConfigOptions } from './discovery-config.module.js';
export type { ConfigData } from '../../config/index.js';
