import type { CanActivate, Type } from '@nestjs/common';
import {
  anything,
  either,
  flag,
  integerBetween,
  listOf,
  literal,
  object,
  recordOf,
  required,
  satisfying,
  text,
  type Check,
} from '../../backend/index.js';
import { COMMON_CHECKS, type ForwardOptions } from './forward-options.js';

/** A guard of Nest's: its class, itself, or its name in `namedGuards`. */
export type RouteGuard = Type<CanActivate> | CanActivate | string;

/** What a request must have besides the path. */
export interface RouteConditions {
  /** @default any */
  readonly methods?: readonly string[];
  /** Host names without a port: `shop.example`, `*.example` for all below it. @default any */
  readonly hosts?: readonly string[];
  /** Headers that must be there (true) or have this value. @default {} */
  readonly headers?: Readonly<Record<string, string | true>>;
  /** Parameters of the query that must be there (true) or have this value. @default {} */
  readonly query?: Readonly<Record<string, string | true>>;
}

/** What a route does with a request. */
export interface RouteHandling extends Pick<
  ForwardOptions,
  'headers' | 'responseHeaders' | 'timeoutMs' | 'maxRequestBytes' | 'host' | 'hint' | 'serverTiming'
> {
  /** Guards that must let a request pass, after the app's global ones; all of them, one after the other. @default [] */
  readonly guards?: readonly RouteGuard[];
  /** Metadata of the handler that guards are shown: `{ roles: ['admin'] }`, as `SetMetadata` sets it. @default {} */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Whether WebSockets are passed on too. @default true */
  readonly webSockets?: boolean;
}

/** A route: the first one that matches a request takes it. */
export interface GatewayRoute extends RouteHandling {
  /** For logs, the access log and rate limits. @default the path and the service */
  readonly id?: string;
  /** `/orders/:id`, `/orders/*` (one segment), `/api/orders/**` or `/api/orders/*rest`; or several such. */
  readonly path: string | readonly string[];
  /** The service's name: `ORDERS`. */
  readonly service: string;
  /** What a request must have besides. @default nothing */
  readonly when?: RouteConditions;
  /** How many segments are taken off the path's beginning. @default 0 */
  readonly stripPrefix?: number;
  /** The path at the service, with the path's names: `/v2/:id`, `/*rest`; instead of `stripPrefix`. @default the path as it is */
  readonly rewrite?: string;
}

const guard = satisfying(
  'a guard: its class, itself, or its name',
  (value) =>
    typeof value === 'function' ||
    (typeof value === 'string' && value !== '') ||
    (typeof value === 'object' && value !== null && 'canActivate' in value),
);

const condition = recordOf(
  either('a text, or true', literal(true), (value, path) => void (value === '' || text(value, path))),
);

/** What routes and the locator have in common. */
export const HANDLING_CHECKS: Readonly<Record<keyof RouteHandling, Check>> = {
  ...COMMON_CHECKS,
  hint: text,
  guards: listOf(guard),
  metadata: recordOf(anything),
  webSockets: flag,
};

/** A route. */
export const route: Check = required(
  ['path', 'service'],
  object({
    ...HANDLING_CHECKS,
    id: text,
    path: either('a path, or a list of paths', text, listOf(text)),
    service: text,
    when: object({ methods: listOf(text), hosts: listOf(text), headers: condition, query: condition }),
    stripPrefix: integerBetween(0, 100),
    rewrite: text,
  } satisfies Record<keyof GatewayRoute, Check>),
);
