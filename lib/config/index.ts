export * from './coerce.js';
export * from './config-client.js';
export * from './config-snapshots.js';
export * from './config-store.js';
export * from './config-values.js';
export * from './formats.js';
export * from './property-tree.js';
export * from './standard-schema.js';
