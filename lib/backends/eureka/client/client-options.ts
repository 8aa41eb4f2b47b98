import {
  conceal,
  anything,
  callable,
  checkOptions,
  either,
  flag,
  integerBetween,
  listOf,
  LOG_LEVELS,
  milliseconds,
  object,
  oneOf,
  port,
  recordOf,
  required,
  text,
  type Check,
  type Logger,
  type LogLevel,
} from '../../../backend/index.js';
import { assertName, DiscoveryError, type InstanceStatus } from '../../../model/index.js';
import { resolveSettings, SHARED_CHECKS, type EurekaOptions, type EurekaSettings } from '../eureka.options.js';
import type { HaStrategy } from './walker.js';

/** The registration failed, or could not be kept. */
export const ERROR_REGISTER = 'EUREKA_ERROR_REGISTER';
/** The registry could not be read. */
export const ERROR_DISCOVER = 'EUREKA_ERROR_DISCOVER';
/** A change of the registered instance could not be made. */
export const ERROR_STATUS_UPDATE = 'EUREKA_ERROR_STATUS_UPDATE';

/** What failed, as `onError` is told. */
export type EurekaErrorType = typeof ERROR_REGISTER | typeof ERROR_DISCOVER | typeof ERROR_STATUS_UPDATE;

/** Options of an `EurekaClient`. */
export interface EurekaClientOptions extends EurekaOptions {
  /** The name to register under. Required unless `shouldRegister` is false. */
  readonly appName?: string;
  /** The port that others call. Required unless `shouldRegister` is false. */
  readonly instancePort?: number;
  /** Unique within the application. @default `ip:name in small letters:port` */
  readonly instanceId?: string;
  /** The host name that others call. @default as `hostFrom` says */
  readonly instanceHost?: string;
  /**
   * The address that is registered. @default what `instanceHost` resolves to, else the first address of this machine
   * that isn't the loopback
   */
  readonly instanceIp?: string;
  /** Only addresses in this network, or in one of these: `192.168.10.0/24`, `fd00::/8`. */
  readonly instanceIpNetwork?: string | readonly string[];
  /** Interfaces that don't count, by name; a trailing `*` stands for any end: `docker*`. */
  readonly ignoredInterfaces?: readonly string[];
  /**
   * Where the host name comes from when none is given: the address itself, the name that DNS has for it, or the
   * machine's own name.
   * @default 'address'
   */
  readonly hostFrom?: 'address' | 'reverse-lookup' | 'hostname';
  /** The status to register with; `STARTING` until the app is ready, then `client.setStatus('UP')`. @default 'UP' */
  readonly initialStatus?: InstanceStatus;
  /** Of the instance. @default {} */
  readonly metadata?: Readonly<Record<string, string | number | boolean>>;
  /** Whether it registers, besides reading. @default true */
  readonly shouldRegister?: boolean;
  /** Read the registry. @default true */
  readonly shouldDiscover?: boolean;
  /** How `doService` and `walkNodes` choose a node. @default 'random' */
  readonly haStrategy?: HaStrategy;
  /** Try the next node after an HTTP error too, not only after a failed connection. @default true */
  readonly nextNodeOnHttpError?: boolean;
  /**
   * Told of each failure, when every server was tried in vain; the client goes on trying. It may stop the client.
   */
  readonly onError?: (type: EurekaErrorType, error: DiscoveryError) => unknown;
  /** Where to write, one place or several. @default the standard error output */
  readonly logger?: Logger | readonly Logger[];
  /** From which severity on lines are written. @default 'log' */
  readonly logLevel?: LogLevel;
  /** How long `stop()` tries to take the registration back, in milliseconds. @default 5000 */
  readonly stopTimeoutMs?: number;
  /** Servers tried by one request. @default all */
  readonly maxAttempts?: number;
}

/** Options after defaults and checks. */
export interface EurekaClientSettings {
  readonly eureka: EurekaSettings;
  readonly options: EurekaClientOptions;
  /** What to register; undefined for a client that only calls others. */
  readonly application: { readonly name: string; readonly port: number } | undefined;
}

const logger: Check = (value, path) => {
  required(['error', 'warn', 'log', 'debug'], anything)(value, path);
};

/** An object with methods, of any class. */
const loggerObject: Check = (value, path) => {
  if (typeof value !== 'object' || value === null) object({})(value, path);
  logger(value, path);
};

const CLIENT_CHECKS: Readonly<Record<string, Check>> = {
  ...SHARED_CHECKS,
  appName: text,
  instancePort: port,
  instanceId: text,
  instanceHost: text,
  instanceIp: text,
  instanceIpNetwork: either('a network or a list of them', text, listOf(text)),
  ignoredInterfaces: listOf(text),
  hostFrom: oneOf('address', 'reverse-lookup', 'hostname'),
  initialStatus: oneOf('STARTING', 'UP', 'DOWN', 'OUT_OF_SERVICE'),
  metadata: recordOf(anything),
  shouldRegister: flag,
  shouldDiscover: flag,
  haStrategy: oneOf('random', 'stick', 'other'),
  nextNodeOnHttpError: flag,
  onError: callable,
  logger: either('a logger or a list of loggers', listOf(loggerObject), loggerObject),
  logLevel: oneOf(...LOG_LEVELS),
  stopTimeoutMs: milliseconds(0),
  maxAttempts: integerBetween(1, 1000),
};

/**
 * Checks the options of a client and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveClientOptions(options: EurekaClientOptions): EurekaClientSettings {
  checkOptions('EurekaClient', options, CLIENT_CHECKS);
  const { appName, instancePort } = options;
  if (options.shouldRegister !== false) {
    for (const field of ['appName', 'instancePort'] as const) {
      if (options[field] !== undefined) continue;
      const problem = `${field} is required; a client that only calls others has shouldRegister: false`;
      throw new DiscoveryError('INVALID_OPTION', `EurekaClient: ${problem}`, { field });
    }
  }
  if (appName !== undefined) assertName(appName, 'appName');
  const registers = options.shouldRegister !== false && appName !== undefined && instancePort !== undefined;
  return conceal({
    // All of them: `onError` is told when every server was tried.
    eureka: resolveSettings('EurekaClient', { maxAttempts: 1000, ...options }),
    options,
    application: registers ? { name: appName, port: instancePort } : undefined,
  });
}
