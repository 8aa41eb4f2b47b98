// The module, and what it needs at start-up and shutdown.
export {
  AppRegistration,
  DiscoveryExceptionFilter,
  DiscoveryModule,
  DiscoveryTelemetry,
  enableGracefulShutdown,
} from './nest/index.js';
export type {
  BeforeServiceDeregister,
  BeforeServiceRegister,
  ConfigOptions,
  DiscoveryExceptionFilterOptions,
  DiscoveryModuleAsyncOptions,
  DiscoveryModuleOptions,
  DiscoveryOptions,
  DiscoveryOptionsFactory,
  GracefulShutdownOptions,
  NarrowedBackend,
  OnServiceDeregistered,
  OnServiceRegistered,
  ProbeOptions,
  Readiness,
  Registries,
  RegistrationDraft,
  ServiceOptions,
} from './nest/index.js';

// The decorators, and the tokens of what they inject.
export {
  ConfigProperties,
  ConfigProperty,
  ConfigValue,
  DiscoverableClient,
  getConfigRefToken,
  getDiscoverableClientToken,
  HealthCheckOf,
  HttpServiceClient,
  ImplementsClient,
  OnConfigChange,
  OnInstancesChange,
  remote,
  ValidateResponse,
} from './nest/index.js';
export type {
  ConfigObjectChange,
  ConfigPropertiesOptions,
  ConfigPropertyOptions,
  ConfigValueOptions,
  DiscoverableClientOptions,
  HttpServiceClientOptions,
} from './nest/index.js';

// Registration.
export { firstNonLoopbackIp, ServiceRegistry } from './registration/index.js';
export type { AddressOptions, HealthOptions, RequiredService, ShutdownOptions } from './registration/index.js';
export type { Registration, RegistrationInput, RegistrationPatch } from './model/index.js';

// Discovery.
export { DiscoveryClient } from './discovery/index.js';
export type { OverrideOptions } from './discovery/index.js';
export { INSTANCE_STATUSES } from './model/index.js';
export type {
  InstancesDiff,
  InstanceStatus,
  Metadata,
  ServiceInstance,
  ServiceList,
  Snapshot,
  SnapshotState,
} from './model/index.js';

// Calls.
export { STRATEGIES } from './balancing/index.js';
export type {
  BalancingStrategy,
  EjectionOptions,
  Endpoint,
  InstancePick,
  LaneOptions,
  LaneRule,
  LoadBalancer,
  PickContext,
  Picker,
  PickFunction,
  RoutingOptions,
  VersionOptions,
} from './balancing/index.js';
export { discoverable, ServiceFetch, ServiceHttpClient } from './http/index.js';
export type {
  BulkheadOptions,
  CallOptions,
  CallPolicy,
  HedgingOptions,
  HttpClientName,
  HttpTransportOptions,
  InstanceStats,
  Redirects,
  RequestBalancing,
  RetryOptions,
  ServiceFetchFunction,
  ServiceFetchInit,
  ServiceRequestConfig,
  TransportOptions,
} from './http/index.js';

// Configuration.
export { loadConfig, LoadedConfig } from './nest/index.js';
export { ConfigClient, ConfigRef, secretFiles, springCipher } from './config/index.js';
export type {
  ConfigChange,
  ConfigCandidate,
  ConfigData,
  ConfigDecoder,
  ConfigExplanation,
  ConfigOrigin,
  ConfigReadOptions,
  ConfigWriteOptions,
  DeclaredDocument,
  DecodedValue,
  ElementType,
  SchemaIssue,
  SchemaResult,
  SecretFilesOptions,
  SpringCipherOptions,
  StandardSchema,
} from './config/index.js';
export type { ConfigContent, ConfigDocument, ConfigFormat, ConfigScope } from './model/index.js';

// What goes wrong, and what happens.
export { DiscoveryError, NoInstanceError, NoSnapshotError } from './model/index.js';
export type { Attempt, DiscoveryErrorCode, DiscoveryErrorDetails } from './model/index.js';
export { DIAGNOSTICS_CHANNEL, EventHub } from './observability/index.js';
export type {
  AttemptObservation,
  AttemptReason,
  BackendTelemetry,
  CallObservation,
  CallObserver,
  CallOutcome,
  CallResult,
  ConfigurationTelemetry,
  DiagnosticsMessage,
  InstanceTelemetry,
  ObservedAttempt,
  ObservedCall,
  RegistrationTelemetry,
  RouteCircuit,
  RouteTelemetry,
  ServiceTelemetry,
  TelemetrySnapshot,
} from './observability/index.js';
export type { BackendState, DiscoveryEvent, DiscoveryEventType } from './model/index.js';

// What a backend is, for those who name its types; /backend has what one is written with.
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
  OverrideStatus,
  OverrideTarget,
  RegistryDriver,
  RevokeResult,
  ServicesReport,
  Timer,
  Unsubscribe,
  View,
  Watch,
  WriteOptions,
} from './backend/index.js';
