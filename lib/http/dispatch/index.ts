export { listenerOf } from './dispatch-listener.js';
export * from './dispatch-port.js';
export * from './dispatch-targets.js';
export * from './lasting-calls.js';
export * from './service-fetch.js';
