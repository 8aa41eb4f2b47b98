import { hostsOf, type BackendDefinition } from '../../backend/index.js';
import { SpringConfigBackend } from './spring-config.backend.js';
import { resolveSpringConfigOptions, type SpringConfigOptions } from './spring-config.options.js';

export { DiscoveryError } from '../../model/index.js';
export type { BackendDefinition, Pem, TlsOptions } from '../../backend/index.js';
export { refreshWebhook, type RefreshWebhookOptions } from './refresh-webhook.js';
export type { SpringConfigOptions } from './spring-config.options.js';

/**
 * A Spring Cloud Config server: configuration, read again and again. Nothing can be written to it.
 *
 * ```ts
 * DiscoveryModule.forRoot({
 *   registry: eureka(),
 *   config: springConfig({ url: 'lb://CONFIG-SERVER', username: 'config', password, label: 'main' }),
 * });
 * ```
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function springConfig(options: SpringConfigOptions = {}): BackendDefinition {
  const settings = resolveSpringConfigOptions(options);
  const addresses = settings.servers.filter(({ service }) => service === undefined).map(({ base }) => base);
  const definition: BackendDefinition = {
    kind: 'spring-config',
    name: settings.name,
    ...(addresses.length === 0 ? {} : { hosts: hostsOf(addresses) }),
    create: (context) => new SpringConfigBackend(settings, context),
  };
  return Object.freeze(definition);
}
