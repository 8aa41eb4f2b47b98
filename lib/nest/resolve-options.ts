import { readFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { local } from '../backends/local/index.js';
import { isLoadBalancer, STRATEGIES, type EjectionOptions, type RoutingOptions } from '../balancing/index.js';
import {
  anything,
  callable,
  checkOptions,
  either,
  flag,
  integerBetween,
  listOf,
  milliseconds,
  numberBetween,
  object,
  oneOf,
  port,
  recordOf,
  required,
  systemClock,
  text,
  type BackendDefinition,
  type BackendUse,
  type Check,
  type Clock,
} from '../backend/index.js';
import {
  HTTP_CLIENTS,
  resolveCallOptions,
  TRANSPORT_OPTIONS,
  type CallOptions,
  type HedgingOptions,
  type HttpTransportOptions,
  type ResolvedCallOptions,
  type RetryOptions,
} from '../http/index.js';
import { assertName, assertPort, createMetadata, DiscoveryError, nameProblem } from '../model/index.js';
import type { AddressOptions, ShutdownOptions } from '../registration/index.js';
import type {
  ConfigOptions,
  DiscoveryModuleOptions,
  NarrowedBackend,
  ServiceOptions,
} from './discovery-options.interface.js';

const definition: Check = (value, path) => {
  const is = typeof value === 'object' && value !== null && 'create' in value && 'kind' in value && 'name' in value;
  if (!is) either('a backend, as local() or consul({ … }) gives it')(value, path);
};

const narrowed = required(['backend'], object({ backend: definition, register: flag, discover: flag }));
const oneRegistry = either('a backend, or { backend, register, discover }', definition, narrowed);
const schema: Check = (value, path) => {
  const is = typeof value === 'object' && value !== null && '~standard' in value;
  if (!is && typeof value !== 'function') either('a Standard Schema (zod, valibot …)')(value, path);
};

const strategy: Check = (value, path) => {
  if (isLoadBalancer(value)) return;
  const names = STRATEGIES.map((name) => `'${name}'`).join(', ');
  either(`${names}, an object with createPicker or a function`, oneOf(...STRATEGIES), callable)(value, path);
};

const ejection = object({
  consecutiveFailures: integerBetween(1, 1e6),
  baseMs: milliseconds(1),
  maxMs: milliseconds(1),
  maxShare: numberBetween(0, 1),
  panicThreshold: numberBetween(0, 1),
  successRate: flag,
  applicationErrors: flag,
} satisfies Record<keyof EjectionOptions, Check>);

/** Headers of one connection or one body, which mean something else, or nothing, in another request. */
const NOT_FORWARDED = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const forwardable: Check = (value, path) => {
  const is = typeof value === 'string' && value !== '' && !NOT_FORWARDED.has(value.toLowerCase());
  if (!is) either('the name of a header that another request may have, such as authorization')(value, path);
};

/** The options of calls, wherever they may be given. */
export const CALL_OPTIONS: Readonly<Record<keyof CallOptions, Check>> = {
  balancing: strategy,
  routing: object({
    zone: text,
    metadata: recordOf(text),
    hintMetadata: text,
    subset: integerBetween(1, 1e6),
    warmUpMs: milliseconds(),
  } satisfies Record<keyof RoutingOptions, Check>),
  ejection: either('an object, or false', ejection, oneOfFalse()),
  maxAttempts: either("a whole number from 1 to 1000, or 'all'", integerBetween(1, 1000), oneOf('all')),
  timeoutMs: milliseconds(),
  totalTimeoutMs: milliseconds(),
  retry: object({
    unsafeMethods: flag,
    statuses: listOf(integerBetween(100, 599)),
    budgetShare: numberBetween(0, 100),
    budgetPerSecond: numberBetween(0, 1e6),
  } satisfies Record<keyof RetryOptions, Check>),
  deadlineHeader: text,
  basePathMetadata: text,
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

const SERVICE_OPTIONS: Readonly<Record<keyof ServiceOptions, Check>> = {
  name: text,
  instanceId: text,
  host: text,
  ip: text,
  port,
  scheme: text,
  networks: listOf(text),
  ignoredInterfaces: listOf(text),
  family: either('4 or 6', (value, path) => {
    if (value !== 4 && value !== 6) either('4 or 6')(value, path);
  }),
  preferHostname: flag,
  metadata: recordOf(either('a text, a number or true or false', text, numberBetween(-Infinity, Infinity), flag)),
  tags: listOf(text),
  weight: numberBetween(0, 1e9),
  healthPath: text,
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
    emptyProtectionMs: either('a time in milliseconds, or false', milliseconds(), oneOfFalse()),
    nameFor: callable,
  }),
  configOptions: object({
    optional: flag,
    loadTimeoutMs: milliseconds(1),
    debounceMs: milliseconds(),
    snapshots: flag,
    schema,
  }),
  transport: either("'undici', 'axios' or an object", oneOf(...HTTP_CLIENTS), object(TRANSPORT_OPTIONS)),
  http: object(CALL_OPTIONS),
  clients: recordOf(object(CALL_OPTIONS)),
  shutdown: object({
    deregisterTimeoutMs: milliseconds(),
    propagationDelayMs: milliseconds(),
    drainTimeoutMs: milliseconds(),
  }),
  zone: text,
  profiles: listOf(text),
  snapshotDirectory: text,
  clock: anything,
};

/** What the app itself is called and registers as. */
export interface ResolvedService extends AddressOptions {
  readonly name: string;
  readonly options: ServiceOptions;
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  /** The app's name, whether it registers or not. */
  readonly application: string;
  /** Undefined for an app that only calls others. */
  readonly service: ServiceOptions | undefined;
  readonly uses: readonly BackendUse[];
  /** True when `local()` stands in for a registry or configuration that wasn't named. */
  readonly usesDefaultBackend: boolean;
  readonly registration: 'background' | 'fail-fast' | 'manual';
  readonly registrationTimeoutMs: number;
  readonly firstSnapshotTimeoutMs: number;
  readonly lingerMs: number;
  readonly emptyProtectionMs: number | undefined;
  readonly nameFor: ((service: string, backend: string) => string) | undefined;
  readonly config: Required<Omit<ConfigOptions, 'schema'>> & Pick<ConfigOptions, 'schema'>;
  readonly transport: HttpTransportOptions;
  /** Whether calls carry on headers of the requests in whose course they are made. */
  readonly forwardsHeaders: boolean;
  readonly callOptionsFor: (service: string, own?: CallOptions) => ResolvedCallOptions;
  readonly shutdown: Required<ShutdownOptions>;
  readonly zone: string | undefined;
  readonly profiles: readonly string[];
  readonly snapshotDirectory: string;
  readonly clock: Clock;
}

/**
 * Checks the module's options, as the compiler would have.
 * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME` or `INVALID_INSTANCE`, naming the field
 */
export function checkModuleOptions(options: DiscoveryModuleOptions): void {
  checkOptions('DiscoveryModule', options, MODULE_OPTIONS);
  const { service, clients, profiles, zone } = options;
  if (service !== undefined) {
    assertName(service.name, 'service.name');
    if (service.instanceId !== undefined) assertName(service.instanceId, 'service.instanceId');
    if (service.port !== undefined) assertPort(service.port, 'service.port');
    if (service.metadata !== undefined) createMetadata(service.metadata);
  }
  if (zone !== undefined) assertName(zone, 'zone');
  for (const name of Object.keys(clients ?? {})) assertName(name, 'clients');
  for (const profile of profiles ?? []) assertName(profile, 'profiles');
}

/**
 * Fills in the defaults.
 *
 * @param given undefined for `forRoot()` without an argument, which registers under the default name
 * @throws DiscoveryError `INVALID_OPTION` when no name can be found
 */
export function resolveOptions(
  given: DiscoveryModuleOptions | undefined,
  env: NodeJS.ProcessEnv = process.env,
): ResolvedOptions {
  const options = given ?? {};
  checkModuleOptions(options);
  const application = options.service?.name ?? defaultServiceName(env, given === undefined);
  const service = options.service ?? (given === undefined ? { name: application } : undefined);
  const standIn = options.registry === undefined || options.config === undefined ? standInFor(options) : undefined;
  const { discovery = {}, configOptions = {}, shutdown = {}, http = {}, clients = {} } = options;
  const production = env['NODE_ENV'] === 'production';
  return {
    application,
    service,
    uses: [...registryUses(options, standIn), ...configUses(options, standIn)],
    usesDefaultBackend: standIn !== undefined,
    registration: options.registration ?? 'background',
    registrationTimeoutMs: options.registrationTimeoutMs ?? 10_000,
    firstSnapshotTimeoutMs: discovery.firstSnapshotTimeoutMs ?? 5000,
    lingerMs: discovery.lingerMs ?? 30_000,
    emptyProtectionMs: discovery.emptyProtectionMs === false ? undefined : (discovery.emptyProtectionMs ?? 5000),
    nameFor: discovery.nameFor,
    config: {
      optional: configOptions.optional ?? false,
      loadTimeoutMs: configOptions.loadTimeoutMs ?? 10_000,
      debounceMs: configOptions.debounceMs ?? 50,
      snapshots: configOptions.snapshots ?? false,
      ...(configOptions.schema === undefined ? {} : { schema: configOptions.schema }),
    },
    transport: transportOptions(options.transport),
    forwardsHeaders: [http, ...Object.values(clients)].some(({ forwardHeaders }) => forwardHeaders !== undefined),
    callOptionsFor: (name, own) => {
      const forService = Object.hasOwn(clients, name) ? clients[name] : undefined;
      return resolveCallOptions([http, forService, own], options.zone);
    },
    shutdown: {
      deregisterTimeoutMs: shutdown.deregisterTimeoutMs ?? 5000,
      propagationDelayMs: shutdown.propagationDelayMs ?? (production ? 3000 : 0),
      drainTimeoutMs: shutdown.drainTimeoutMs ?? 10_000,
    },
    zone: options.zone,
    profiles: options.profiles ?? defaultProfiles(env),
    snapshotDirectory:
      options.snapshotDirectory ??
      join(tmpdir(), `nestjs-service-discovery-${userInfo().uid}`, 'snapshots', application),
    clock: options.clock ?? systemClock,
  };
}

/** What sends the calls, in its long form. */
export function transportOptions(transport: DiscoveryModuleOptions['transport']): HttpTransportOptions {
  return typeof transport === 'string' ? { client: transport } : (transport ?? {});
}

/** The local backend, for what was left out: the one that is given for the other part, if it is. */
function standInFor({ registry = [], config = [] }: DiscoveryModuleOptions): BackendDefinition {
  const given = [...(isList(registry) ? registry : [registry]), ...(isList(config) ? config : [config])];
  const definitions = given.map((entry) => ('backend' in entry ? entry.backend : entry));
  return definitions.find(({ kind }) => kind === 'local') ?? local();
}

function registryUses(options: DiscoveryModuleOptions, standIn: BackendDefinition | undefined): readonly BackendUse[] {
  const given = options.registry ?? standIn ?? [];
  const list: readonly (BackendDefinition | NarrowedBackend)[] = isList(given) ? given : [given];
  return list.map((entry) =>
    'backend' in entry
      ? { definition: entry.backend, register: entry.register ?? true, discover: entry.discover ?? true, config: false }
      : { definition: entry, register: true, discover: true, config: false },
  );
}

function configUses(options: DiscoveryModuleOptions, standIn: BackendDefinition | undefined): readonly BackendUse[] {
  const given = options.config ?? standIn ?? [];
  const list = isList(given) ? given : [given];
  return list.map((entry) => ({ definition: entry, register: false, discover: false, config: true }));
}

/** `Array.isArray` that knows read-only lists. */
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function oneOfFalse(): Check {
  return (value, path) => {
    if (value !== false) either('false')(value, path);
  };
}

/** `SERVICE_NAME`, else the name in the nearest package.json without its scope. */
function defaultServiceName(env: NodeJS.ProcessEnv, needed: boolean): string {
  const name = env['SERVICE_NAME'] ?? nearestPackageName() ?? (needed ? undefined : 'application');
  if (name === undefined || nameProblem(name) !== undefined) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      'service.name is missing: give it to forRoot({ service: { name } }), in SERVICE_NAME or in package.json',
      { field: 'service.name' },
    );
  }
  return name;
}

function nearestPackageName(): string | undefined {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    try {
      const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly name?: unknown };
      return typeof name === 'string' && name !== '' ? name.replace(/^@[^/]*\//, '') : undefined;
    } catch {
      // None here, or none that can be read: the folder above may have one.
    }
    if (folder === dirname(folder)) return undefined;
  }
}

function defaultProfiles(env: NodeJS.ProcessEnv): readonly string[] {
  const list = env['SERVICE_PROFILES'] ?? env['NODE_ENV'] ?? '';
  return list
    .split(',')
    .map((profile) => profile.trim())
    .filter((profile) => nameProblem(profile) === undefined);
}
