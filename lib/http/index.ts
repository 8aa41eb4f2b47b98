export * from './address.js';
export * from './failover.js';
export * from './service-caller.js';
export * from './service-http-client.js';
