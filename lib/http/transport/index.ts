export * from './axios-transport.js';
export * from './call-signal.js';
export * from './direct-path.js';
export { isUntyped } from './form-data.js';
export { Hop, type HopListener } from './hop.js';
export * from './http-transport.js';
export * from './pooled-transport.js';
export type { SentRequest } from './sent-request.js';
export * from './open-transport.js';
export {
  HTTP_CLIENTS,
  TRANSPORT_OPTIONS,
  type HttpClientName,
  type HttpTransportOptions,
  type TransportOptions,
} from './transport.options.js';
export { isStream, StreamSource } from './stream-source.js';
export { isHarmless, leaves } from './redirect.js';
export { isUnsent, markUnsent } from './transport-errors.js';
export type { WireRequest, WireRequestOptions } from './undici-port.js';
