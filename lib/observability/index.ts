export * from './event-hub.js';
export * from './event-log.js';
