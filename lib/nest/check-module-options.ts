import {
  isLoadBalancer,
  STRATEGIES,
  type EjectionOptions,
  type LaneOptions,
  type RoutingOptions,
  type VersionOptions,
} from '../balancing/index.js';
import {
  anything,
  callable,
  checkOptions,
  either,
  flag,
  integerBetween,
  listOf,
  literal,
  milliseconds,
  numberBetween,
  object,
  oneOf,
  port,
  recordOf,
  required,
  satisfying,
  text,
  type Check,
} from '../backend/index.js';
import {
  HTTP_CLIENTS,
  MESSAGE_HEADERS,
  isCallPolicy,
  TRANSPORT_OPTIONS,
  type BulkheadOptions,
  type CallOptions,
  type HedgingOptions,
  type RetryOptions,
} from '../http/index.js';
import type { DeclaredDocument } from '../config/index.js';
import { assertName, assertPort, assertServiceName, createMetadata } from '../model/index.js';
import type { HealthOptions, ShutdownOptions } from '../registration/index.js';
import type { ConfigOptions, DiscoveryModuleOptions, ServiceOptions } from './discovery-options.interface.js';
import type { ProbeOptions } from './probe-server.js';

const definition = satisfying(
  'a backend, as local() or consul({ … }) gives it',
  (value) => typeof value === 'object' && value !== null && 'create' in value && 'kind' in value && 'name' in value,
);

const narrowed = required(['backend'], object({ backend: definition, register: flag, discover: flag }));
const oneRegistry = either('a backend, or { backend, register, discover }', definition, narrowed);
const schema = satisfying(
  'a Standard Schema (zod, valibot …)',
  (value) => typeof value === 'function' || (typeof value === 'object' && value !== null && '~standard' in value),
);

const strategy = either(
  `${STRATEGIES.map((name) => `'${name}'`).join(', ')}, an object with createPicker or a function`,
  oneOf(...STRATEGIES),
  callable,
  satisfying('an object with createPicker', isLoadBalancer),
);

const ejection = object({
  consecutiveFailures: integerBetween(1, 1e6),
  baseMs: milliseconds(1),
  maxMs: milliseconds(1),
  maxShare: numberBetween(0, 1),
  panicThreshold: numberBetween(0, 1),
  successRate: flag,
  overdueMs: milliseconds(1),
  applicationErrors: flag,
} satisfies Record<keyof EjectionOptions, Check>);

/** Headers of one connection or one body, which mean something else, or nothing, in another request. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([...MESSAGE_HEADERS, 'content-encoding', 'content-type']);

const forwardable = satisfying(
  'the name of a header that another request may have, such as authorization',
  (value) => typeof value === 'string' && value !== '' && !NOT_FORWARDED.has(value.toLowerCase()),
);

const headerName = satisfying(
  'the name of a header',
  (value) =>
    typeof value === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(value) && !NOT_FORWARDED.has(value.toLowerCase()),
);

/** The options of calls, wherever they may be given. */
export const CALL_OPTIONS: Readonly<Record<keyof CallOptions, Check>> = {
  balancing: strategy,
  routing: object({
    zone: text,
    metadata: recordOf(text),
    tags: listOf(text),
    hintMetadata: text,
    subset: integerBetween(1, 1e6),
    warmUpMs: milliseconds(),
    lane: object({
      metadata: text,
      header: headerName,
      isolate: flag,
      fallback: oneOf('base', 'none', 'any'),
    } satisfies Record<keyof LaneOptions, Check>),
    version: object({
      metadata: text,
      header: headerName,
      pathPrefix: text,
      default: text,
      fallback: oneOf('none', 'any'),
    } satisfies Record<keyof VersionOptions, Check>),
  } satisfies Record<keyof RoutingOptions, Check>),
  ejection: either('an object, or false', ejection, literal(false)),
  maxAttempts: either("a whole number from 1 to 1000, or 'all'", integerBetween(1, 1000), oneOf('all')),
  timeoutMs: milliseconds(),
  totalTimeoutMs: milliseconds(),
  retry: object({
    unsafeMethods: flag,
    timeouts: flag,
    statuses: listOf(integerBetween(100, 599)),
    budgetShare: numberBetween(0, 100),
    budgetPerSecond: numberBetween(0, 1e6),
  } satisfies Record<keyof RetryOptions, Check>),
  redirects: oneOf('same-origin', 'any', 'none'),
  allowAbsoluteUrls: flag,
  deadlineHeader: text,
  basePathMetadata: text,
  bulkhead: required(
    ['maxCalls'],
    object({ maxCalls: integerBetween(1, 1e6), maxQueue: integerBetween(0, 1e6) } satisfies Record<
      keyof BulkheadOptions,
      Check
    >),
  ),
  policy: satisfying('an object with execute, as cockatiel makes them', isCallPolicy),
  fallback: callable,
  hedging: required(
    ['delayMs'],
    object({ delayMs: milliseconds(1), maxHedges: integerBetween(1, 100) } satisfies Record<
      keyof HedgingOptions,
      Check
    >),
  ),
  forwardHeaders: listOf(forwardable),
  hintHeader: text,
  keyHeader: text,
};

const path = satisfying("a path that begins with '/'", (value) => typeof value === 'string' && value.startsWith('/'));

const SERVICE_OPTIONS: Readonly<Record<keyof ServiceOptions, Check>> = {
  name: text,
  instanceId: text,
  host: text,
  ip: text,
  port,
  scheme: text,
  networks: listOf(text),
  ignoredInterfaces: listOf(text),
  family: either('4 or 6', literal(4), literal(6)),
  preferHostname: flag,
  metadata: recordOf(either('a text, a number or true or false', text, numberBetween(-Infinity, Infinity), flag)),
  tags: listOf(text),
  weight: numberBetween(0, 1e9),
  healthPath: text,
  health: object({
    check: callable,
    intervalMs: milliseconds(1),
    timeoutMs: milliseconds(1),
    failuresToDown: integerBetween(1, 1000),
    successesToUp: integerBetween(1, 1000),
    initialStatus: oneOf('UP', 'STARTING'),
  } satisfies Record<keyof HealthOptions, Check>),
};

const MODULE_OPTIONS: Readonly<Record<keyof DiscoveryModuleOptions, Check>> = {
  service: required(['name'], object(SERVICE_OPTIONS)),
  registry: either('a backend or a list of backends', listOf(oneRegistry), oneRegistry),
  config: either('a backend or a list of backends', listOf(definition), definition),
  registration: oneOf('background', 'fail-fast', 'manual'),
  registrationTimeoutMs: milliseconds(),
  discovery: object({
    firstSnapshotTimeoutMs: milliseconds(),
    lingerMs: milliseconds(),
    emptyProtectionMs: either('a time in milliseconds, or false', milliseconds(), literal(false)),
    nameFor: callable,
    overridesInProduction: flag,
  }),
  overrides: recordOf(either('a URL or a list of URLs', text, listOf(text))),
  configOptions: object({
    optional: flag,
    loadTimeoutMs: milliseconds(1),
    debounceMs: milliseconds(),
    snapshots: flag,
    schema,
    documents: listOf(
      required(
        ['id'],
        object({
          id: text,
          format: oneOf('yaml', 'json', 'properties', 'toml', 'text'),
          optional: flag,
          backend: text,
        } satisfies Record<keyof DeclaredDocument, Check>),
      ),
    ),
    layers: flag,
    environment: either('true, false or an object of variables', flag, recordOf(anything)),
    commandLine: either('true, false or a list of arguments', flag, listOf(text)),
    decoders: listOf(required(['prefix', 'decode'], object({ prefix: text, decode: callable, follow: callable }))),
  } satisfies Record<keyof ConfigOptions, Check>),
  transport: either("'undici', 'axios' or an object", oneOf(...HTTP_CLIENTS), object(TRANSPORT_OPTIONS)),
  http: object(CALL_OPTIONS),
  clients: recordOf(object(CALL_OPTIONS)),
  laneRules: text,
  shutdown: object({
    deregisterTimeoutMs: milliseconds(),
    propagationDelayMs: milliseconds(),
    drainTimeoutMs: milliseconds(),
    hookTimeoutMs: milliseconds(1),
    totalTimeoutMs: milliseconds(1),
  } satisfies Record<keyof ShutdownOptions, Check>),
  requires: listOf(
    either(
      'the name of a service, or { name, atLeast }',
      text,
      required(['name'], object({ name: text, atLeast: integerBetween(1, 1e6) })),
    ),
  ),
  readiness: object({ registered: flag }),
  probes: required(
    ['port'],
    object({
      port: integerBetween(0, 65535),
      host: text,
      livePath: path,
      readyPath: path,
    } satisfies Record<keyof ProbeOptions, Check>),
  ),
  zone: text,
  profiles: listOf(text),
  snapshotDirectory: text,
  clock: anything,
};

/**
 * Checks the module's options, as the compiler would have.
 * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME` or `INVALID_INSTANCE`, naming the field
 */
export function checkModuleOptions(options: DiscoveryModuleOptions): void {
  checkOptions('DiscoveryModule', options, MODULE_OPTIONS);
  const { service, clients, profiles, zone } = options;
  if (service !== undefined) {
    assertServiceName(service.name, 'service.name');
    if (service.instanceId !== undefined) assertName(service.instanceId, 'service.instanceId');
    if (service.port !== undefined) assertPort(service.port, 'service.port');
    if (service.metadata !== undefined) createMetadata(service.metadata);
  }
  if (zone !== undefined) assertName(zone, 'zone');
  for (const name of Object.keys(clients ?? {})) assertServiceName(name, 'clients');
  for (const profile of profiles ?? []) assertName(profile, 'profiles');
}
