import { callable, either, flag, object, type Check } from '../../../backend/machinery/index.js';

/** Options of the endpoints in Spring Boot's shapes. */
export interface ActuatorOptions {
  /** Below the app's global prefix. @default 'actuator' */
  readonly path?: string;
  /** What `info` shows besides the app, its version and its process. @default nothing */
  readonly info?: Readonly<Record<string, unknown>> | (() => unknown);
  /**
   * Whether the app registers where the endpoints are: the metadata `management.context-path`, and on Eureka the path of its health
   * unless `service.healthPath` is given. @default true
   */
  readonly metadata?: boolean;
}

/** {@link ActuatorOptions} with every default. */
export interface ResolvedActuatorOptions {
  readonly path: string;
  readonly info: () => unknown;
  readonly metadata: boolean;
}

const anyObject: Check = (value, path) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) callable(value, path);
};

/** The check of the option: true, false, or the options. */
export function actuatorCheck(path: Check): Check {
  return either(
    'true, false or an object',
    flag,
    object({ path, info: either('an object, or a function that gives one', callable, anyObject), metadata: flag }),
  );
}

/** Fills in the defaults; undefined when there are no such endpoints. */
export function resolveActuatorOptions(given: boolean | ActuatorOptions): ResolvedActuatorOptions | undefined {
  if (given === false) return undefined;
  const { path = 'actuator', info = {}, metadata = true } = given === true ? {} : given;
  return {
    path: path.replace(/^\/+|\/+$/g, ''),
    info: typeof info === 'function' ? info : () => info,
    metadata,
  };
}
