export * from './call-failure.js';
export * from './discovery-client.js';
export * from './empty-protection.js';
export * from './overrides.js';
export * from './service-list-view.js';
export * from './service-view.js';
export * from './service-views.js';
