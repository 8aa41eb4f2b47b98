import type { BackendDefinition } from '../../backend/index.js';
import { DnsBackend } from './dns.backend.js';
import { resolveDnsOptions, type DnsOptions } from './dns.options.js';

export { DiscoveryError } from '../../model/index.js';
export type { BackendDefinition } from '../../backend/index.js';
export type { DnsOptions } from './dns.options.js';

/**
 * DNS: discovery through SRV, A or AAAA records. Nothing can be registered in it, which an app says with `register: false`.
 *
 * ```ts
 * const backend = dns({ servers: ['127.0.0.1:8600'], pattern: '{service}.service.consul' });
 * DiscoveryModule.forRoot({ registry: { backend, register: false } });
 * ```
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function dns(options: DnsOptions = {}): BackendDefinition {
  const settings = resolveDnsOptions(options);
  const definition: BackendDefinition = {
    kind: 'dns',
    name: settings.name,
    create: (context) => new DnsBackend(settings, context),
  };
  return Object.freeze(definition);
}
