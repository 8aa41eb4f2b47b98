export { AppRegistration } from './app-registration.js';
export type { Readiness } from './app-readiness.js';
export { DISCOVERY_MODULE_OPTIONS, DISCOVERY_TRANSPORT } from './discovery.constants.js';
export { getConfigRefToken, getDiscoverableClientToken } from './declared-providers.js';
export * from './decorators/config-value.decorator.js';
export { DiscoverableClient, type DiscoverableClientOptions } from './decorators/discoverable-client.decorator.js';
export * from './decorators/health-check-of.decorator.js';
export { ConfigProperties, ConfigProperty } from './configuration/config-properties.decorator.js';
export type { ConfigPropertiesOptions, ConfigPropertyOptions } from './configuration/config-class.js';
export type { ConfigObjectChange } from './configuration/config-objects.js';
export * from './decorators/on-config-change.decorator.js';
export * from './decorators/on-instances-change.decorator.js';
export {
  HttpServiceClient,
  remote,
  ValidateResponse,
  type HttpServiceClientOptions,
} from './declarative/http-service-client.decorator.js';
export * from './declarative/implements-client.decorator.js';
export { DiscoveryTelemetry } from './discovery-telemetry.js';
export { DiscoveryExceptionFilter, type DiscoveryExceptionFilterOptions } from './discovery-exception.filter.js';
export * from './discovery.module.js';
export * from './discovery-options.interface.js';
export * from './graceful-shutdown.js';
export * from './lifecycle-hooks.interface.js';
export type { ProbeOptions } from './probe-server.js';
