export { ManualClock } from './manual-clock.js';
export {
  inMemory,
  InMemoryRegistry,
  type InMemoryDefinition,
  type InMemoryInstanceInput,
} from './in-memory-registry.js';
export type { InMemoryBackendOptions } from './in-memory-backend.js';
export type { InMemoryStats, StoredDocument as InMemoryDocument } from './in-memory-server.js';
export { overrideDiscoverableClient, overrideTransport } from './overrides.js';
export { provideConfig } from './provide-config.js';
export { settled } from './settled.js';

// What they take and give.
export type { ConfigFormat, ServiceInstance, ServiceInstanceInput } from '../model/index.js';
export type { BackendDefinition, Clock, Timer } from '../backend/index.js';
export type { CallOptions, ServiceHttpClient } from '../http/index.js';
export type { DiscoveryModuleOptions } from '../nest/index.js';
