export * from './balancing/index.js';
export * from './model/index.js';
export * from './nest/index.js';
export * from './observability/event-hub.js';
export type {
  AddressResolver,
  Backend,
  BackendContext,
  BackendDefinition,
  CallAuthorizer,
  ChangeSupport,
  Clock,
  ConfigDriver,
  ConfigReport,
  ConfigRevision,
  DiscoveryDriver,
  DiscoveryReport,
  Lease,
  LeaseState,
  Logger,
  RegistryDriver,
  RevokeResult,
  Timer,
  Unsubscribe,
  View,
  Watch,
  WriteOptions,
} from './backend/index.js';
export {
  ConfigClient,
  ConfigRef,
  type ConfigChange,
  type ConfigData,
  type ConfigWriteOptions,
  type StandardSchema,
} from './config/index.js';
export { DiscoveryClient } from './discovery/index.js';
export {
  discoverable,
  ServiceHttpClient,
  type CallOptions,
  type HedgingOptions,
  type HttpTransportOptions,
  type InstanceStats,
  type RequestBalancing,
  type RetryOptions,
  type ServiceRequestConfig,
} from './http/index.js';
export {
  firstNonLoopbackIp,
  ServiceRegistry,
  type AddressOptions,
  type ShutdownOptions,
} from './registration/index.js';
