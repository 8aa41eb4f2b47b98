export * from './address.js';
export * from './call-options.js';
export * from './connections.js';
export * from './failover.js';
export * from './retry-budget.js';
export * from './service-caller.js';
export * from './service-http-client.js';
