export type { ServiceHttpClient } from '../../http/index.js';
export { serviceDispatcher } from './service-dispatcher.js';
