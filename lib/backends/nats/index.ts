import { hostsOf, type BackendDefinition } from '../../backend/index.js';
import { NatsBackend } from './nats.backend.js';
import { resolveNatsOptions, type NatsOptions } from './nats.options.js';

export { DiscoveryError } from '../../model/index.js';
export type { DiscoveryErrorDetails } from '../../model/index.js';
export type { BackendDefinition, Clock, Logger } from '../../backend/index.js';
export type { NatsConfigOptions, NatsOptions, NatsPresenceOptions, NatsRoundsOptions } from './nats.options.js';
export type { Pem, TlsOptions } from '../../backend/index.js';
export type { NatsConnectionOptions, NatsTlsOptions } from './connection/connection-options.js';
export type {
  NatsConnection,
  NatsRawMessage,
  NatsMessageHeaders,
  NatsServerInfo,
  NatsSubscription,
} from './connection/port.js';
export { NatsServiceError } from './connection/errors.js';
export type { NatsHeaderMap, NatsHeadersInput } from './connection/headers.js';
export { HTTP_METADATA } from './nats.codec.js';
export { NatsClient, type NatsClientOptions } from './nats.client.js';
export { DEFAULT_API_PREFIX, DEFAULT_QUEUE_GROUP } from './service/names.js';
export type { EndpointInfo, EndpointStats, ServiceIdentity, ServiceInfo, ServiceStats } from './service/protocol.js';
export {
  createErrorResponse,
  createResponse,
  NatsAnswerError,
  ServiceRequest,
  type AnswerProblem,
  type NatsData,
  type RespondErrorOptions,
  type RespondOptions,
  type ServiceResponse,
} from './service/request.js';
export type {
  EndpointConfig,
  EndpointOptions,
  InheritedOptions,
  ServiceConfig,
  ServiceHandler,
  ServiceMiddleware,
} from './service/service-options.js';
export type { ServiceEndpoint } from './service/endpoint.js';
export { addService, type NatsServiceHandle, type ServiceGroup } from './service/service.js';
export {
  NatsServiceClient,
  type CallServiceOptions,
  type NatsServiceClientOptions,
  type ServiceAnswer,
} from './client/service-client.js';
export {
  ServiceQueries,
  type InstanceQueries,
  type QueryOptions,
  type ServiceQueriesOptions,
} from './client/service-queries.js';
export type { GatherOptions } from './client/gather.js';
export { JetStreamError } from './jetstream/api.js';
export type { KeyValueBucketOptions } from './jetstream/bucket-options.js';
export type { KeyValueBucket, KeyValueStatus, KeyValueWriteOptions } from './jetstream/key-value.js';
export type { KeyValueEntry, KeyValueOperation } from './jetstream/key-value.codec.js';
export { KeyValueWatch, readAll, type KeyValueWatchOptions } from './jetstream/key-value-watch.js';

/**
 * NATS: instances in a JetStream key-value bucket and among the micro services, configuration in another bucket.
 *
 * ```ts
 * DiscoveryModule.forRoot({ registry: nats({ servers: 'nats://10.0.0.5:4222' }), config: nats({ ... }) });
 * ```
 *
 * Opening it rejects with `MISSING_PEER` without the package `nats` (or `@nats-io/transport-node`).
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function nats(options: NatsOptions = {}): BackendDefinition {
  const settings = resolveNatsOptions(options);
  const definition: BackendDefinition = {
    kind: 'nats',
    name: settings.name,
    hosts: hostsOf(settings.connection.servers),
    create: (context) => new NatsBackend(settings, context),
  };
  return Object.freeze(definition);
}
