export { ConsulClient } from '../client/consul-client.js';
export type { ConsulElection, ElectionOptions } from '../consul.election.js';
export type { ConsulLock, LockOptions } from '../consul.lock.js';
export { ConsulLocks } from '../consul.locks.js';
export { ConsulModule } from './consul.module.js';
