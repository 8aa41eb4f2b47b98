export { chooseAddress, firstNonLoopbackIp, type AddressOptions, type ChosenAddress } from '../backend/index.js';
export * from './composite-lease.js';
export * from './requests-in-flight.js';
export * from './service-registry.js';
export * from './shutdown-sequence.js';
