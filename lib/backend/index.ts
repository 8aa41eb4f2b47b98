/** What backends are written with: also the public entry `/backend`, for those that others write. */

// What they speak of.
export {
  assertName,
  createMetadata,
  createServiceInstance,
  DiscoveryError,
  INSTANCE_STATUSES,
  messageOf,
  nameProblem,
  toDiscoveryError,
  toInstance,
} from '../model/index.js';
export type {
  Attempt,
  BackendState,
  ConfigContent,
  ConfigDocument,
  ConfigFormat,
  ConfigScope,
  DiscoveryErrorCode,
  DiscoveryErrorDetails,
  DiscoveryEvent,
  DiscoveryEventType,
  InstancesDiff,
  InstanceStatus,
  Metadata,
  Registration,
  RegistrationPatch,
  ServiceInstance,
  ServiceInstanceInput,
  Snapshot,
  SnapshotState,
} from '../model/index.js';

// The port: what a backend is.
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
} from './port/index.js';

// The frame: what every backend does the same way.
export {
  allOf,
  BackendBase,
  earliest,
  Host,
  LeaseKeeper,
  mapped,
  openFeed,
  Reporter,
  SharedFeed,
} from './driver/index.js';
export type {
  Changed,
  DriverHost,
  Feed,
  FeedHome,
  FeedReport,
  FeedSource,
  Gathering,
  Health,
  HealthHooks,
  HostContext,
  LeaseKeeperOptions,
  LeaseOperations,
  LeaseOptions,
  Part,
  PullSource,
  PushSource,
  Reading,
  Removal,
} from './driver/index.js';

// The frame: configuration documents.
export {
  assertDocumentId,
  assertFormat,
  CONFIG_EXTENSIONS,
  bytesDocument,
  conflict,
  digestOf,
  entriesDocument,
  formatByExtension,
  keepDocuments,
  layerNames,
  textDocument,
  textOf,
} from './driver/index.js';

// The machinery: time and trying again.
export {
  abandonOnAbort,
  Backoff,
  cutAfter,
  neverArrived,
  PeriodicTask,
  RateLimit,
  SingleFlight,
  sleep,
  systemClock,
  until,
} from './machinery/index.js';
export { inParallel, ServerList, turn, Turns, ValueView, WatchLoop, withDeadline } from './machinery/index.js';
export type {
  BackoffOptions,
  PeriodicTaskOptions,
  RateLimitOptions,
  ServerListOptions,
  UntilOptions,
  WatchLoopOptions,
} from './machinery/index.js';

// The machinery: options.
export {
  anything,
  callable,
  checked,
  checkOptions,
  either,
  flag,
  flagOf,
  integerBetween,
  listOf,
  literal,
  milliseconds,
  nameServer,
  numberBetween,
  object,
  oneOf,
  port,
  recordOf,
  renamed,
  required,
  satisfying,
  serverTexts,
  text,
  withDefaults,
  withEnvironment,
} from './machinery/index.js';
export type { Check, EnvironmentOption, EnvironmentOptions, Resolved, Variables } from './machinery/index.js';

// The machinery: strangers' records.
export {
  asNumber,
  asObject,
  asText,
  asTexts,
  decodeLeaseRecord,
  encodeLeaseRecord,
  invalidField,
  optionalText,
  tagsFrom,
} from './machinery/index.js';
export type { LeaseRecord } from './machinery/index.js';

// The machinery: packages, addresses, files, logs.
export {
  chooseAddress,
  firstNonLoopbackIp,
  FolderEvents,
  peerError,
  silentLogger,
  strangersProblem,
  durationOf,
  TroubleLog,
  withoutSecrets,
  withoutSecretUrls,
  writeFileAtomically,
} from './machinery/index.js';
export type { AddressOptions, BackendUse, ChosenAddress, NamedDriver, WatchFolder } from './machinery/index.js';

// The machinery: HTTP, TLS, log levels.
export {
  conceal,
  hostsOf,
  HttpClient,
  isLoopback,
  isWritten,
  LOG_LEVELS,
  readTls,
  singleLine,
  tlsCheck,
  withLevel,
} from './machinery/index.js';
export type {
  HttpAnswer,
  HttpClientOptions,
  HttpRequest,
  LogLevel,
  TlsMaterial,
  Pem,
  TlsOptions,
} from './machinery/index.js';
