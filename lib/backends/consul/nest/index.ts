export { ConsulClient } from '../client/consul-client.js';
export { ConsulElection, type ElectionOptions } from '../consul.election.js';
export { ConsulLock, type LockOptions } from '../consul.lock.js';
export { ConsulLocks } from '../consul.locks.js';
export { ConsulModule } from './consul.module.js';
