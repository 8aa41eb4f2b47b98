export { chooseAddress, firstNonLoopbackIp, type AddressOptions, type ChosenAddress } from '../backend/index.js';
export * from './app-health.js';
export * from './composite-lease.js';
export * from './required-services.js';
export * from './server-connections.js';
export * from './service-registry.js';
export * from './shutdown-sequence.js';
export * from './work-in-flight.js';
