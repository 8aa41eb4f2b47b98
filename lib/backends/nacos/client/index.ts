export { CIPHER_PREFIX, kmsCipher } from './cipher.js';
export type {
  NacosConfigContent,
  NacosConfigFilter,
  NacosDataKey,
  NacosKeyProvider,
  NacosKmsCipherOptions,
} from './cipher.js';
export type { NacosConfigKey, NacosConfigListener, NacosConfigType, NacosPublishParam } from './config-model.js';
export type { NacosReadOptions } from './config-reading.js';
export { NacosConfigService } from './config-service.js';
export type { NacosGetConfigParam } from './config-service.js';
export { NacosError } from './errors.js';
export { NacosClient } from './nacos-client.js';
export type { NacosServiceListener } from './naming-listeners.js';
export type {
  NacosInstance,
  NacosInstanceInput,
  NacosInstancesChange,
  NacosServiceInfo,
  NacosServiceName,
} from './naming-model.js';
export { NacosNamingService } from './naming-service.js';
export type {
  NacosListInstancesParam,
  NacosListServicesParam,
  NacosRegisterParam,
  NacosSubscribeParam,
} from './naming-service.js';
export type { NacosAccessKeys, NacosClientOptions, NacosCredentialsProvider, NacosGrpcOptions } from './options.js';
export { NacosHttpClient } from './http-client.js';
export type {
  NacosHttpInstance,
  NacosHttpListParam,
  NacosHttpSubscribeParam,
  NacosHttpWriteOptions,
} from './http-client.js';
export type { NacosBeatAnswer } from './http-naming.js';
export type { NacosHttpClientOptions, NacosHttpTunables } from './http-options.js';
export type { NacosInstanceEvent, NacosInstanceListener } from './http-subscribers.js';
