import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import {
  callable,
  checkOptions,
  either,
  flag,
  integerBetween,
  listOf,
  satisfying,
} from '../../backend/machinery/index.js';
import { DiscoveryError } from '../../model/index.js';
import {
  actuatorCheck,
  resolveActuatorOptions,
  type ActuatorOptions,
  type ResolvedActuatorOptions,
} from './actuator/actuator.options.js';

/** Who may see the endpoints: a guard's class, whose dependencies Nest injects, or a guard. */
export type OperatorGuard = Type<CanActivate> | CanActivate;

/** Options of `DiscoveryOperatorModule.register`. */
export interface DiscoveryOperatorOptions {
  /** Path of the page and the endpoints, below the app's global prefix. @default 'discovery' */
  readonly path?: string;
  /**
   * Who may see the page and the endpoints, and pause the app: a guard, or several that must all agree; the app's global
   * guards are asked too. Without one the app doesn't start in production (`NODE_ENV`); elsewhere it answers this machine only.
   *
   * @default none
   */
  readonly guard?: OperatorGuard | readonly OperatorGuard[];
  /** Modules whose providers the guard needs. @default [] */
  readonly imports?: ModuleMetadata['imports'];
  /** Whether there is a page; the endpoints are there without it. @default true */
  readonly page?: boolean;
  /**
   * Endpoints in the shapes of Spring Boot's, for Spring Boot Admin and whatever else reads them: health, info, metrics, env,
   * serviceregistry, refresh. @default false
   */
  readonly actuator?: boolean | ActuatorOptions;
  /** Nobody can pause, resume or refresh. @default false */
  readonly readOnly?: boolean;
  /** Streams of events that may be open at once: each browser that shows the page has one. @default 64 */
  readonly maxStreams?: number;
}

/** {@link DiscoveryOperatorOptions} with every default. */
export interface ResolvedOperatorOptions {
  readonly path: string;
  readonly guards: readonly OperatorGuard[];
  readonly page: boolean;
  readonly actuator: ResolvedActuatorOptions | undefined;
  readonly readOnly: boolean;
  readonly maxStreams: number;
}

const guard = either(
  'a guard, or the class of one',
  callable,
  satisfying('a guard', (value) => typeof (value as Partial<CanActivate> | null)?.canActivate === 'function'),
);

/** Segments of letters, digits and a few signs: nothing that a router reads as more than text. */
const PATH = /^\/?[A-Za-z0-9_~.-]+(?:\/[A-Za-z0-9_~.-]+)*\/?$/;

const path = satisfying(
  "a path of plain segments, such as 'internal/discovery'",
  (value) => typeof value === 'string' && PATH.test(value) && !/(?:^|\/)\.{1,2}(?:\/|$)/.test(value),
);

const FIELDS = {
  path,
  guard: either('a guard, the class of one, or a list of them', guard, listOf(guard)),
  imports: listOf(satisfying('a module', (value) => value !== undefined && value !== null)),
  page: flag,
  actuator: actuatorCheck(path),
  readOnly: flag,
  maxStreams: integerBetween(1, 10_000),
};

/**
 * Checks the options, and fills in the defaults.
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function resolveOperatorOptions(
  options: DiscoveryOperatorOptions,
  env: NodeJS.ProcessEnv = process.env,
): ResolvedOperatorOptions {
  checkOptions('DiscoveryOperatorModule.register()', options, FIELDS);
  const {
    path = 'discovery',
    guard: given = [],
    page = true,
    actuator = false,
    readOnly = false,
    maxStreams = 64,
  } = options;
  const guards = Array.isArray(given) ? (given as readonly OperatorGuard[]) : [given as OperatorGuard];
  if (guards.length === 0 && env['NODE_ENV'] === 'production') {
    throw new DiscoveryError(
      'INVALID_OPTION',
      'DiscoveryOperatorModule.register(): guard is missing: in production (NODE_ENV) everybody who reaches the app could read its configuration and take it out of service',
      { field: 'guard' },
    );
  }
  return {
    path: path.replace(/^\/+|\/+$/g, ''),
    guards,
    page,
    actuator: resolveActuatorOptions(actuator),
    readOnly,
    maxStreams,
  };
}
