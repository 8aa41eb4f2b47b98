/** Nest's other protocols by the names of services: gRPC, TCP, and whatever else has a client of its own for each instance. */

export { GrpcDiscovery } from './grpc/grpc-discovery.js';
export type { GrpcTarget, GrpcTargetOptions } from './grpc/grpc-target.js';
export {
  getGrpcServiceClientToken,
  GrpcServiceClient,
  type GrpcServiceClientOptions,
} from './grpc/grpc-service-client.decorator.js';
export { GrpcHealth, type AppWithProviders } from './grpc/grpc-health.js';
export { MessageDiscovery, type MessageTarget } from './messages/message-discovery.js';
export type { MessageTargetOptions } from './messages/messages.options.js';
export type { MessageAddress } from './messages/message-address.js';
export {
  DiscoverableClientProxy,
  getDiscoverableClientProxyToken,
} from './messages/discoverable-client-proxy.decorator.js';
export type { PointCallOptions } from './point-options.js';
export type { CallOptions } from '../../http/index.js';
export type { ServiceInstance } from '../../model/index.js';
