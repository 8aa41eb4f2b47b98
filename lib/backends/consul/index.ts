import type { BackendDefinition } from '../../backend/index.js';
import { ConsulBackend } from './consul.backend.js';
import { resolveConsulOptions, type ConsulOptions } from './consul.options.js';

export * from '../../model/index.js';
export type { Logger, LogLevel, TlsOptions, View, Watch } from '../../backend/index.js';
export * from './client/index.js';
export { ConsulBackend } from './consul.backend.js';
export { ConsulElection, type ElectionOptions } from './consul.election.js';
export { ConsulLock, type LockOptions } from './consul.lock.js';
export { ConsulLocks, type ConsulLocksOptions } from './consul.locks.js';
export type {
  ConsulCheckOptions,
  ConsulConfigOptions,
  ConsulDiscoveryOptions,
  ConsulOptions,
} from './consul.options.js';

/**
 * HashiCorp Consul, through the agent of this machine: registry, discovery and configuration, with no package besides.
 *
 * ```ts
 * const backend = consul({ address: '127.0.0.1:8500', tokenFile: '/run/secrets/consul-token' });
 * DiscoveryModule.forRoot({ service: { name: 'orders' }, registry: backend, config: backend });
 * ```
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function consul(options: ConsulOptions = {}): BackendDefinition {
  const settings = resolveConsulOptions(options);
  const definition: BackendDefinition = {
    kind: 'consul',
    name: settings.name,
    create: (context) => new ConsulBackend(settings, context),
  };
  return Object.freeze(definition);
}
