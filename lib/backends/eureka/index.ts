import { hostsOf, type BackendContext, type BackendDefinition } from '../../backend/index.js';
import { EurekaBackend } from './eureka.backend.js';
import { resolveEurekaOptions, type EurekaOptions } from './eureka.options.js';

export { DiscoveryError } from '../../model/index.js';
export type { InstanceStatus, NoInstanceError, Registration } from '../../model/index.js';
export { firstNonLoopbackIp } from '../../backend/index.js';
export type { BackendDefinition, Clock, Logger, LogLevel, Pem, TlsOptions, Unsubscribe } from '../../backend/index.js';
export type { EurekaApi } from './client/api.js';
export { consoleLogger, type ClientLogger } from './client/client-logger.js';
export {
  ERROR_DISCOVER,
  ERROR_REGISTER,
  ERROR_STATUS_UPDATE,
  type EurekaClientOptions,
  type EurekaErrorType,
} from './client/client-options.js';
export type { DoServiceOptions, WalkNodesOptions } from './client/do-service.js';
export { EurekaClient } from './client/eureka-client.js';
export { doService, getEurekaClient, initEureka, stopEureka, walkNodes } from './client/facade.js';
export {
  HttpStatusError,
  type EurekaHttpClient,
  type EurekaHttpRequest,
  type EurekaHttpResponse,
} from './client/http-client.js';
export {
  HA_STRATEGY_OTHER,
  HA_STRATEGY_RANDOM,
  HA_STRATEGY_STICK,
  WalkNodesError,
  type HaStrategy,
  type NodeFailure,
  type Walker,
} from './client/walker.js';
export type { ActionType, DecodedApplications, OutgoingInstance } from './eureka.codec.js';
export type { Application, Applications } from './eureka.applications.js';
export type { DataCenterName, EurekaInstance } from './eureka.instance.js';
export type {
  EurekaConnectionOptions,
  EurekaDnsOptions,
  EurekaInstanceOptions,
  EurekaLeaseOptions,
  EurekaOptions,
  EurekaReadOptions,
  ServiceUrls,
} from './eureka.options.js';

/**
 * Netflix Eureka, and Spring Cloud's: registry and discovery.
 *
 * ```ts
 * DiscoveryModule.forRoot({
 *   service: { name: 'ORDERS' },
 *   registry: eureka({ serviceUrls: ['http://peer1:8761/eureka', 'http://peer2:8761/eureka'] }),
 * });
 * ```
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function eureka(options: EurekaOptions = {}): BackendDefinition {
  const settings = resolveEurekaOptions(options);
  return Object.freeze({
    kind: 'eureka',
    name: settings.name,
    hosts: hostsOf([...settings.connection.zones.values()].flat()),
    // The server's cache of answers, a client's cache of the registry and Spring's cache of a balancer: 30 s each.
    propagationMs: 90_000,
    create: (context: BackendContext) => new EurekaBackend(settings, context),
  });
}
