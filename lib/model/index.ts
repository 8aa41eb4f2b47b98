export * from './config-document.js';
export * from './errors.js';
export * from './events.js';
export * from './merge-snapshots.js';
export * from './names.js';
export * from './registration.js';
export * from './service-instance.js';
export * from './snapshot.js';
