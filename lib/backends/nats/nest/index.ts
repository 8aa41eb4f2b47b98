export { NatsEndpoint, NatsGroup, NatsService } from './decorators.js';
export type { NatsEndpointOptions, NatsGroupOptions, PayloadKind } from './decorators.js';
export { NATS_CONTEXT } from './handler.js';
export { getNatsServiceToken, InjectNatsService } from './injected-clients.js';
export { NatsServicesModule } from './nats-services.module.js';
export { NatsHeaders, NatsMessage, NatsPayload } from './params.js';
export { NatsServicesHost } from './services-host.js';
export type { NatsServicesAsyncOptions, NatsServicesOptions } from './services-options.js';

// What handlers, clients and options meet of the wing and of the house.
export type { BeforeServiceDeregister } from '../../../nest/index.js';
export { NatsServiceClient, type CallServiceOptions, type NatsServiceClientOptions } from '../client/service-client.js';
export type { ServiceQueries } from '../client/service-queries.js';
export type { NatsConnectionOptions } from '../connection/connection-options.js';
export { NatsServiceError } from '../connection/errors.js';
export { createErrorResponse, createResponse, ServiceRequest } from '../service/request.js';
export type { NatsServiceHandle } from '../service/service.js';
export type { EndpointOptions, InheritedOptions, ServiceConfig } from '../service/service-options.js';
