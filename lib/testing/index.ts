export * from '../model/index.js';
export * from './manual-clock.js';
export {
  inMemory,
  InMemoryRegistry,
  type InMemoryDefinition,
  type InMemoryInstanceInput,
} from './in-memory-registry.js';
export type { InMemoryBackendOptions } from './in-memory-backend.js';
export type { InMemoryStats, StoredDocument as InMemoryDocument } from './in-memory-server.js';
export * from './overrides.js';
export * from './provide-config.js';
