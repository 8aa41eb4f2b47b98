export * from './port/index.js';
export * from './machinery/index.js';
export * from './driver/index.js';
