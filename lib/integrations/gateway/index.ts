/** The gateway: passes requests on to services by their names. */

export { ServiceGatewayModule } from './gateway.module.js';
export { ServiceProxy, type ForwardResult } from './service-proxy.js';
export type { ForwardOptions } from './forward-options.js';
export type { ForwardedHeaders } from './forwarded.js';
export type { GatewayAccess } from './access.js';
export type { HeaderChanges } from './header-list.js';
export type { ServiceGatewayOptions } from './gateway.options.js';
