export { listenerOf } from './dispatch-listener.js';
export * from './dispatch-port.js';
export * from './dispatch-targets.js';
export { FrameTrack } from './frame-track.js';
export * from './lasting-calls.js';
export { PassingListener } from './passing-listener.js';
export * from './service-fetch.js';
export { followSocket } from './socket-end.js';
