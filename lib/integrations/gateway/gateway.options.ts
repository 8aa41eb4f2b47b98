import { callable, checkOptions, flag, listOf, oneOf, text, type Check } from '../../backend/index.js';
import { COMMON_CHECKS, type ForwardOptions } from './forward-options.js';
import type { ForwardedHeaders } from './forwarded.js';
import type { GatewayAccess } from './access.js';

/** Options of the gateway. */
export interface ServiceGatewayOptions extends Pick<
  ForwardOptions,
  'timeoutMs' | 'maxRequestBytes' | 'serverTiming' | 'host'
> {
  /**
   * Whose `X-Forwarded-*` and `Forwarded` headers are believed and carried on: addresses, networks (`10.0.0.0/8`), or
   * `loopback`. Everybody else's are dropped. @default []
   */
  readonly trustedProxies?: readonly string[];
  /** Which headers tell services where a request came from. @default 'both' */
  readonly forwardedHeaders?: ForwardedHeaders;
  /** Told of every request when its answer has ended; what it throws is logged. @default none */
  readonly onAccess?: (access: GatewayAccess) => void;
}

export const GATEWAY_CHECKS: Readonly<Record<keyof ServiceGatewayOptions, Check>> = {
  timeoutMs: COMMON_CHECKS.timeoutMs,
  maxRequestBytes: COMMON_CHECKS.maxRequestBytes,
  serverTiming: flag,
  host: text,
  trustedProxies: listOf(text),
  forwardedHeaders: oneOf('both', 'x-forwarded', 'forwarded', 'none'),
  onAccess: callable,
};

/** @throws DiscoveryError `INVALID_OPTION` */
export function checkGatewayOptions(options: ServiceGatewayOptions): void {
  checkOptions('ServiceGatewayModule', options, GATEWAY_CHECKS);
}
