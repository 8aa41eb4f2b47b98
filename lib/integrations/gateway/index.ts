/** The gateway: passes requests on to services by their names. */

export { ServiceGatewayModule } from './gateway.module.js';
export { ServiceProxy, type ForwardResult } from './service-proxy.js';
export { GatewayOpenApi } from './openapi/gateway-openapi.js';
export type { GatewayOpenApiOptions } from './openapi/openapi.options.js';
export type { ForwardOptions } from './forward-options.js';
export type { ForwardedHeaders } from './forwarded.js';
export type { GatewayAccess } from './access.js';
export type { HeaderChanges } from './header-list.js';
export type { LocatorOptions } from './locator.options.js';
export type { GatewayRoute, RouteConditions, RouteGuard, RouteHandling } from './route.options.js';
export type { ServiceGatewayOptions } from './gateway.options.js';
