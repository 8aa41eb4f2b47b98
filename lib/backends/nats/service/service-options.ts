import {
  anything,
  callable,
  flag,
  integerBetween,
  listOf,
  milliseconds,
  text,
  type Check,
} from '../../../backend/index.js';
import type { Clock, Logger } from '../../../backend/index.js';
import { describe, DiscoveryError } from '../../../model/index.js';
import {
  assertQueueGroup,
  assertServiceName,
  assertSubject,
  assertVersion,
  copyMetadata,
  DEFAULT_QUEUE_GROUP,
} from './names.js';
import type { EndpointStats } from './protocol.js';
import type { ServiceRequest, ServiceResponse } from './request.js';

/** Answers a request with `request.respond` or `request.respondError`, before it ends. */
export type ServiceHandler = (request: ServiceRequest) => void | Promise<void>;

/**
 * Goes around a handler. The first of a list is the outermost: it begins first and ends last. `next` runs what is inside,
 * with the same request or another one made by `request.with`, and gives its answer; what the middleware returns is sent.
 */
export type ServiceMiddleware = (
  request: ServiceRequest,
  next: (request?: ServiceRequest) => Promise<ServiceResponse>,
) => ServiceResponse | Promise<ServiceResponse>;

/** What is handed down from a service to its groups and from there to their endpoints, unless they say otherwise. */
export interface InheritedOptions {
  /**
   * Queue group: one instance of it gets each request. Left out or empty it is inherited; `false` switches it off, and
   * every instance gets every request. @default 'q'
   */
  readonly queue?: string | false;
  /** Requests of one endpoint that may be under way; more are refused with 503. 0 inherits. @default 524288 */
  readonly pendingMessages?: number;
  /** Bytes of the requests of one endpoint that may be under way; more are refused with 503. 0 inherits. @default 134217728 */
  readonly pendingBytes?: number;
}

/** A service to be offered (ADR-32). */
export interface ServiceConfig extends InheritedOptions {
  /** Kind of the service: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Semantic version. */
  readonly version: string;
  /** @default '' */
  readonly description?: string;
  /** @default {} */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Root of the control subjects; callers must have the same. @default '$SRV' */
  readonly apiPrefix?: string;
  /** Prefix of reply subjects, when the account may use only some. @default '_INBOX' */
  readonly inboxPrefix?: string;
  /** Makes the instance's id, once. @default 22 random letters and digits */
  readonly idGenerator?: () => string;
  /** Tells the time for `started`. @default the clock's */
  readonly now?: () => Date;
  /** The `data` of each endpoint in STATS. */
  readonly statsData?: (endpoint: Omit<EndpointStats, 'data'>) => unknown;
  /** Answers of `respondError` count as errors in STATS, as in Go; false: only what handlers throw. @default true */
  readonly countErrorAnswers?: boolean;
  /** A handler that takes longer is answered for with 504, in milliseconds; 0: never. @default 0 */
  readonly handlerTimeoutMs?: number;
  /** How long `stop()` waits for what is under way, in milliseconds. @default 10000 */
  readonly drainTimeoutMs?: number;
  /** Told of everything that counts as an error. Must not throw. */
  readonly onError?: (error: unknown, where: { readonly endpoint: string; readonly subject: string }) => void;
  /** @default one that writes nothing */
  readonly logger?: Logger;
  /** @default the system's */
  readonly clock?: Clock;
}

/** Options of an endpoint. */
export interface EndpointOptions extends InheritedOptions {
  /** What comes after the prefix of the group. @default the endpoint's name */
  readonly subject?: string;
  /** @default {} */
  readonly metadata?: Readonly<Record<string, string>>;
  /** @default [] */
  readonly middlewares?: readonly ServiceMiddleware[];
}

/** What an endpoint has in the end. */
export interface EndpointConfig {
  readonly name: string;
  readonly subject: string;
  /** Undefined: none, every instance gets every request. */
  readonly queue: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly pendingMessages: number;
  readonly pendingBytes: number;
  readonly middlewares: readonly ServiceMiddleware[];
}

/** {@link InheritedOptions} in full. */
export interface Inherited {
  readonly queue: string | undefined;
  readonly pendingMessages: number;
  readonly pendingBytes: number;
}

/** The limits of a subscription in other NATS libraries: 512 Ki messages and 128 MiB. */
export const DEFAULT_INHERITED: Inherited = {
  queue: DEFAULT_QUEUE_GROUP,
  pendingMessages: 512 * 1024,
  pendingBytes: 128 * 1024 * 1024,
};

/** Checks for `checkOptions`. */
export const INHERITED_OPTIONS: Readonly<Record<string, Check>> = {
  queue: anything,
  pendingMessages: integerBetween(0, Number.MAX_SAFE_INTEGER),
  pendingBytes: integerBetween(0, Number.MAX_SAFE_INTEGER),
};

/** Checks for `checkOptions`. */
export const SERVICE_OPTIONS: Readonly<Record<string, Check>> = {
  ...INHERITED_OPTIONS,
  name: anything,
  version: anything,
  description: anything,
  metadata: anything,
  apiPrefix: anything,
  inboxPrefix: text,
  idGenerator: callable,
  now: callable,
  statsData: callable,
  countErrorAnswers: flag,
  handlerTimeoutMs: milliseconds(0),
  drainTimeoutMs: milliseconds(0),
  onError: callable,
  logger: anything,
  clock: anything,
};

/** Checks for `checkOptions`. */
export const ENDPOINT_OPTIONS: Readonly<Record<string, Check>> = {
  ...INHERITED_OPTIONS,
  subject: text,
  metadata: anything,
  middlewares: listOf(callable),
};

/** What one level says, over what the levels above it say. @throws DiscoveryError `INVALID_NAME` for a bad queue group */
export function inherit(options: InheritedOptions, above: Inherited): Inherited {
  const { queue, pendingMessages, pendingBytes } = options;
  if (queue !== undefined && queue !== false && queue !== '') assertQueueGroup(queue, 'queue');
  return {
    queue: queue === false ? undefined : queue === undefined || queue === '' ? above.queue : queue,
    pendingMessages: pendingMessages === undefined || pendingMessages === 0 ? above.pendingMessages : pendingMessages,
    pendingBytes: pendingBytes === undefined || pendingBytes === 0 ? above.pendingBytes : pendingBytes,
  };
}

/** Puts together what an endpoint has. @throws DiscoveryError, naming the field */
export function endpointConfig(
  name: string,
  options: EndpointOptions,
  above: Inherited,
  prefixes: readonly string[],
): EndpointConfig {
  assertServiceName(name, 'endpoint name');
  const subject = [...prefixes, options.subject ?? name].filter((part) => part !== '').join('.');
  assertSubject(subject, 'subject');
  return Object.freeze({
    name,
    subject,
    ...inherit(options, above),
    metadata: copyMetadata(options.metadata, 'metadata'),
    middlewares: Object.freeze([...(options.middlewares ?? [])]),
  });
}

/** Checks what the types of `ServiceConfig` can't say. @throws DiscoveryError, naming the field */
export function assertIdentity(config: ServiceConfig): void {
  assertServiceName(config.name, 'service name');
  assertVersion(config.version, 'version');
  if (config.description !== undefined && typeof config.description !== 'string') {
    throw new DiscoveryError('INVALID_OPTION', `description must be a text, got ${describe(config.description)}`, {
      field: 'description',
    });
  }
}
