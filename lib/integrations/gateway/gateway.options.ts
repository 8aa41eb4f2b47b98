import type { CanActivate, Type } from '@nestjs/common';
import {
  anything,
  callable,
  checkOptions,
  flag,
  listOf,
  oneOf,
  recordOf,
  satisfying,
  text,
  type Check,
} from '../../backend/index.js';
import type { GatewayAccess } from './access.js';
import { COMMON_CHECKS, type ForwardOptions } from './forward-options.js';
import { isNetwork, type ForwardedHeaders } from './forwarded.js';
import { locatorCheck, type LocatorOptions } from './locator.options.js';
import { openApiCheck, type GatewayOpenApiOptions } from './openapi/openapi.options.js';
import { route, type GatewayRoute } from './route.options.js';

/** Options of the gateway. */
export interface ServiceGatewayOptions extends Pick<
  ForwardOptions,
  'timeoutMs' | 'maxRequestBytes' | 'serverTiming' | 'host'
> {
  /** Requests that are passed on; of several that match the first one counts. @default [] */
  readonly routes?: readonly GatewayRoute[];
  /**
   * A key of the configuration with more routes, as a list or by their ids: what is published there comes into force at
   * once, and what doesn't fit changes nothing. @default none
   */
  readonly routesFrom?: string;
  /** Makes routes for services of the registry, after all others. @default none */
  readonly locator?: LocatorOptions;
  /**
   * Where the services have their OpenAPI documents, for `GatewayOpenApi` to show them on the app's own page. @default none
   */
  readonly openApi?: GatewayOpenApiOptions;
  /** Guards that routes of the configuration name. @default {} */
  readonly namedGuards?: Readonly<Record<string, Type<CanActivate> | CanActivate>>;
  /** Whether the app's global guards (`APP_GUARD`, `useGlobalGuards`) are asked for routes too. @default true */
  readonly globalGuards?: boolean;
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

const CHECKS: Readonly<Record<keyof ServiceGatewayOptions, Check>> = {
  timeoutMs: COMMON_CHECKS.timeoutMs,
  maxRequestBytes: COMMON_CHECKS.maxRequestBytes,
  serverTiming: flag,
  host: text,
  routes: listOf(route),
  routesFrom: text,
  locator: locatorCheck,
  openApi: openApiCheck,
  namedGuards: recordOf(anything),
  globalGuards: flag,
  trustedProxies: listOf(satisfying("an address, a network such as '10.0.0.0/8', or 'loopback'", isNetwork)),
  forwardedHeaders: oneOf('both', 'x-forwarded', 'forwarded', 'none'),
  onAccess: callable,
};

/** @throws DiscoveryError `INVALID_OPTION`, naming the field */
export function checkGatewayOptions(options: ServiceGatewayOptions): void {
  checkOptions('ServiceGatewayModule', options, CHECKS);
}
