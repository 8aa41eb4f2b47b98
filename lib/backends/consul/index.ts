import type { BackendDefinition } from '../../backend/index.js';
import { ConsulBackend } from './consul.backend.js';
import { hostOf } from './client/address.js';
import { resolveConsulOptions, type ConsulOptions } from './consul.options.js';

export { DiscoveryError, type DiscoveryErrorCode } from '../../model/index.js';
export type { BackendDefinition, Clock, Logger, LogLevel, Pem, TlsOptions, View, Watch } from '../../backend/index.js';
export type {
  ConsulCheckOptions,
  ConsulConfigOptions,
  ConsulDiscoveryOptions,
  ConsulOptions,
} from './consul.options.js';

// Locks and leader elections.
export { ConsulLocks, type ConsulLocksOptions } from './consul.locks.js';
export type { ConsulElection, ElectionOptions } from './consul.election.js';
export type { ConsulLock, LockOptions } from './consul.lock.js';

// The client: the whole HTTP API, usable alone.
export { ConsulClient, type WatchOptions } from './client/consul-client.js';
export type { ConsulClientOptions, ConsulConnectionOptions } from './client/client-options.js';
export type { WatchReport, WatchSettings } from './client/blocking-query.js';
export type { Answer, ConsulMeta, WriteAnswer } from './client/meta.js';
export type { ConsulCallOptions, ConsulResponse, ReadOptions, RequestOptions } from './client/requests.js';
export { durationMs, goDuration } from './client/values.js';
export type {
  Blocking,
  Consistency,
  Duration,
  Filter,
  ObjectId,
  ObjectIndex,
  Payload,
  TokenLike,
} from './client/values.js';
export {
  ConsulError,
  type ConsulErrorDetails,
  type ConsulErrorKind,
  type TransactionFailure,
} from './client/errors.js';

// What the client's parts take and give.
export type {
  AclApi,
  AclAuthMethodsApi,
  AclBindingRulesApi,
  AclLink,
  AclNamedApi,
  AclPolicy,
  AclQuestion,
  AclReplication,
  AclRole,
  AclToken,
  AclTokenLike,
  AclTokensApi,
  AuthMethod,
  BindingRule,
  PolicyDefinition,
  RoleDefinition,
  TokenDefinition,
} from './client/acl.js';
export type {
  AgentApi,
  AgentMember,
  AgentMetrics,
  AgentSelf,
  AgentServiceHealth,
  AgentTokenKind,
  CheckLike,
  ChecksApi,
  MaintenanceOptions,
  MembersApi,
  ServiceLike,
  ServicesApi,
} from './client/agent.js';
export type {
  CatalogApi,
  CatalogCheckDefinition,
  CatalogDeregistration,
  CatalogNodeServices,
  CatalogRegistration,
  HealthApi,
  NodeLike,
  TaggedReadOptions,
} from './client/catalog.js';
export { roundTripMs } from './client/cluster.js';
export type {
  AutopilotConfiguration,
  Coordinate,
  CoordinateApi,
  DatacenterCoordinates,
  Keyring,
  NodeCoordinate,
  OperatorApi,
  RaftServer,
  SnapshotApi,
  StatusApi,
} from './client/cluster.js';
export type { EventApi, EventFilters, UserEvent } from './client/event.js';
export type { KVEntry } from './client/kv-entry.js';
export type { KvApi, KVSetOptions } from './client/kv.js';
export type { PreparedQuery, QueryApi, QueryDefinition, QueryLike, QueryResult } from './client/query.js';
export type { Session, SessionApi, SessionDefinition } from './client/session.js';
export type {
  Transaction,
  TransactionOperation,
  TransactionResult,
  TransactionSetOptions,
} from './client/transaction.js';
export type {
  AgentService,
  CatalogNode,
  CatalogService,
  CheckDefinition,
  CheckStatus,
  HealthCheck,
  ServiceDefinition,
  ServiceEntry,
  ServiceWeights,
  TaggedAddress,
} from './client/types.js';

/**
 * HashiCorp Consul, through the agent of this machine: registry, discovery and configuration, with no package besides.
 *
 * ```ts
 * const backend = consul({ address: '127.0.0.1:8500', tokenFile: '/run/secrets/consul-token' });
 * DiscoveryModule.forRoot({ service: { name: 'orders' }, registry: backend, config: backend });
 * ```
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function consul(options: ConsulOptions = {}): BackendDefinition {
  const settings = resolveConsulOptions(options);
  const definition: BackendDefinition = {
    kind: 'consul',
    name: settings.name,
    hosts: [hostOf(settings.connection.address)],
    create: (context) => new ConsulBackend(settings, context),
  };
  return Object.freeze(definition);
}
