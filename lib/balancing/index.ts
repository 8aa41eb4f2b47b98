export * from './balancer.js';
export * from './endpoint.js';
export * from './load-balancers.js';
export * from './outlier-detector.js';
export * from './picker.js';
