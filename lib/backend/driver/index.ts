export * from './backend-base.js';
export * from './lease-keeper.js';
export * from './reporter.js';
