export * from './load-balancers.js';
export * from './picker.js';
export * from './random.js';
export * from './round-robin.js';
