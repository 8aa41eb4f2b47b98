/** A page and endpoints for those who run an app: import {@link DiscoveryOperatorModule}. */
export type { ActuatorOptions } from './actuator/actuator.options.js';
export { basicAuth, type BasicAuthOptions } from './basic-auth.guard.js';
export { DiscoveryOperatorModule } from './discovery-operator.module.js';
export type { DiscoveryOperatorOptions, OperatorGuard } from './operator.options.js';
