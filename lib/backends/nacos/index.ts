import type { BackendDefinition } from '../../backend/index.js';
import { NacosBackend } from './nacos.backend.js';
import { resolveNacosOptions, type NacosOptions } from './nacos.options.js';

export { DiscoveryError, type DiscoveryErrorDetails } from '../../model/index.js';
export type { BackendDefinition, Logger, LogLevel, Pem, TlsOptions } from '../../backend/index.js';
export type { NacosConfigOptions, NacosDocument, NacosOptions } from './nacos.options.js';

// The clients, usable alone.
export { CIPHER_PREFIX, kmsCipher } from './client/config/cipher.js';
export type {
  NacosConfigContent,
  NacosConfigFilter,
  NacosDataKey,
  NacosKeyProvider,
  NacosKmsCipherOptions,
} from './client/config/cipher.js';
export type { NacosConfigKey, NacosConfigListener, NacosConfigType, NacosPublishParam } from './client/config/model.js';
export type { NacosReadOptions } from './client/config/reading.js';
export { NacosConfigService } from './client/config/config-service.js';
export type { NacosGetConfigParam } from './client/config/config-service.js';
export { NacosError } from './client/errors.js';
export { NacosClient } from './client/nacos-client.js';
export type { NacosServiceListener } from './client/naming/listeners.js';
export type {
  NacosInstance,
  NacosInstanceInput,
  NacosInstancesChange,
  NacosServiceInfo,
  NacosServiceName,
} from './client/naming/model.js';
export { NacosNamingService } from './client/naming/naming-service.js';
export type {
  NacosListInstancesParam,
  NacosListServicesParam,
  NacosRegisterParam,
  NacosSubscribeParam,
} from './client/naming/naming-service.js';
export type {
  NacosAccessKeys,
  NacosClientOptions,
  NacosCredentialsProvider,
  NacosGrpcOptions,
} from './client/options.js';
export { NacosHttpClient } from './client/http/http-client.js';
export type {
  NacosHttpInstance,
  NacosHttpListParam,
  NacosHttpSubscribeParam,
  NacosHttpWriteOptions,
} from './client/http/http-client.js';
export type { NacosBeatAnswer } from './client/http/naming-api.js';
export type { NacosHttpClientOptions, NacosHttpTunables } from './client/http/http-options.js';
export type { NacosInstanceEvent, NacosInstanceListener } from './client/http/subscribers.js';

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
export function nacos(options: NacosOptions = {}): BackendDefinition {
  const settings = resolveNacosOptions(options);
  const definition: BackendDefinition = {
    kind: 'nacos',
    name: settings.name,
    hosts: settings.client.servers.map(({ host }) => host),
    create: (context) => new NacosBackend(settings, context),
  };
  return Object.freeze(definition);
}
