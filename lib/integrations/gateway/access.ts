import type { ForwardResult } from './service-proxy.js';

/** One request that the gateway answered or passed on: for an access log. Holds no query and no header. */
export interface GatewayAccess extends ForwardResult {
  readonly method: string;
  /** The path as it came, without its query. */
  readonly path: string;
  /** The address of who asked, by the word of trusted proxies. */
  readonly client?: string;
  /** The route that it came by; absent for `ServiceProxy.forward`. */
  readonly route?: string;
}
