export { CIPHER_PREFIX, kmsCipher } from './config/cipher.js';
export type {
  NacosConfigContent,
  NacosConfigFilter,
  NacosDataKey,
  NacosKeyProvider,
  NacosKmsCipherOptions,
} from './config/cipher.js';
export type { NacosConfigKey, NacosConfigListener, NacosConfigType, NacosPublishParam } from './config/model.js';
export type { NacosReadOptions } from './config/reading.js';
export { NacosConfigService } from './config/config-service.js';
export type { NacosGetConfigParam } from './config/config-service.js';
export type { NacosLogLevel } from './environment.js';
export { NacosError } from './errors.js';
export { NacosClient } from './nacos-client.js';
export type { NacosServiceListener } from './naming/listeners.js';
export type {
  NacosInstance,
  NacosInstanceInput,
  NacosInstancesChange,
  NacosServiceInfo,
  NacosServiceName,
} from './naming/model.js';
export { NacosNamingService } from './naming/naming-service.js';
export type {
  NacosListInstancesParam,
  NacosListServicesParam,
  NacosRegisterParam,
  NacosSubscribeParam,
} from './naming/naming-service.js';
export type {
  NacosAccessKeys,
  NacosClientOptions,
  NacosCredentialsProvider,
  NacosGrpcOptions,
  NacosTlsOptions,
} from './options.js';
export { NacosHttpClient } from './http/http-client.js';
export type {
  NacosHttpInstance,
  NacosHttpListParam,
  NacosHttpSubscribeParam,
  NacosHttpWriteOptions,
} from './http/http-client.js';
export type { NacosBeatAnswer } from './http/naming-api.js';
export type { NacosHttpClientOptions, NacosHttpTunables } from './http/http-options.js';
export type { NacosInstanceEvent, NacosInstanceListener } from './http/subscribers.js';
