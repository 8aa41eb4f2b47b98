export * from './backend.js';
export * from './clock.js';
export * from './config-driver.js';
export * from './discovery-driver.js';
export * from './extension-points.js';
export * from './logger.js';
export * from './registry-driver.js';
export * from './view.js';
