export * from './acl.js';
export * from './agent.js';
export type { WatchReport, WatchSettings } from './blocking-query.js';
export * from './catalog.js';
export type { ConsulClientOptions, ConsulConnectionOptions } from './client-options.js';
export * from './cluster.js';
export { ConsulClient, type WatchOptions } from './consul-client.js';
export {
  ConsulAclDisabledError,
  ConsulConflictError,
  ConsulError,
  ConsulNotFoundError,
  ConsulProtocolError,
  ConsulRateLimitError,
  ConsulRequestError,
  ConsulServerError,
  ConsulTransactionError,
  ConsulUnauthorizedError,
  ConsulUnavailableError,
  type ConsulErrorDetails,
  type TransactionFailure,
} from './errors.js';
export * from './event.js';
export type { KVEntry } from './kv-entry.js';
export * from './kv.js';
export type { Answer, ConsulMeta } from './meta.js';
export * from './query.js';
export { ConsulResponse, type CallOptions, type ReadOptions, type RequestOptions } from './requests.js';
export * from './session.js';
export * from './transaction.js';
export * from './types.js';
export {
  durationMs,
  goDuration,
  type Blocking,
  type Consistency,
  type Duration,
  type Filter,
  type ObjectId,
  type ObjectIndex,
  type Payload,
  type TokenLike,
} from './values.js';
