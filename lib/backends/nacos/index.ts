import type { BackendDefinition } from '../../backend/index.js';
import { NacosBackend } from './nacos.backend.js';
import { resolveNacosOptions, type NacosOptions } from './nacos.options.js';

export * from '../../model/index.js';
export type { LogLevel, TlsOptions } from '../../backend/index.js';
export type { NacosConfigOptions, NacosDocument, NacosOptions } from './nacos.options.js';
export * from './client/index.js';

/**
 * Alibaba Nacos: registry, discovery and configuration over one gRPC connection, or over the HTTP API of older servers.
 *
 * ```ts
 * const backend = nacos({ serverAddresses: ['10.0.0.1:8848', '10.0.0.2:8848'], username: 'nacos', password });
 * DiscoveryModule.forRoot({ registry: backend, config: backend });
 * ```
 *
 * The gRPC protocol needs the package `@grpc/grpc-js`.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function nacos(options: NacosOptions): BackendDefinition {
  const settings = resolveNacosOptions(options);
  const definition: BackendDefinition = {
    kind: 'nacos',
    name: settings.name,
    create: (context) => new NacosBackend(settings, context),
  };
  return Object.freeze(definition);
}
