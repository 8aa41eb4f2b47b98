import { isIP } from 'node:net';
import { join } from 'node:path';
import { local } from '../backends/local/index.js';
import { systemClock, type BackendDefinition, type BackendUse, type Clock } from '../backend/index.js';
import {
  resolveCallOptions,
  type CallOptions,
  type HttpTransportOptions,
  type ResolvedCallOptions,
} from '../http/index.js';
import { ENVIRONMENT, ServiceOverrides } from '../discovery/index.js';
import { describe, DiscoveryError } from '../model/index.js';
import type { RequiredService, ShutdownOptions } from '../registration/index.js';
import type { ProbeOptions } from './probe-server.js';
import { defaultProfiles, defaultServiceName, stateFolder } from './app-environment.js';
import { checkModuleOptions } from './check-module-options.js';
import type {
  ConfigOptions,
  DiscoveryModuleOptions,
  NarrowedBackend,
  ServiceOptions,
} from './discovery-options.interface.js';

/** Options with every default filled in. */
export interface ResolvedOptions {
  /** The app's name, whether it registers or not. */
  readonly application: string;
  /** Undefined for an app that only calls others. */
  readonly service: ServiceOptions | undefined;
  readonly uses: readonly BackendUse[];
  /** True when, in production, `local()` stands in for a registry or configuration that wasn't named. */
  readonly isLocalInProduction: boolean;
  readonly isProduction: boolean;
  readonly registration: 'background' | 'fail-fast' | 'manual';
  readonly registrationTimeoutMs: number;
  readonly firstSnapshotTimeoutMs: number;
  readonly lingerMs: number;
  readonly emptyProtectionMs: number | false | undefined;
  /** Addresses that are called instead of what the registries say. */
  readonly overrides: ServiceOverrides;
  readonly nameFor: ((service: string, backend: string) => string) | undefined;
  readonly config: Required<Omit<ConfigOptions, 'schema' | 'environment' | 'commandLine'>> &
    Pick<ConfigOptions, 'schema'> & {
      /** The variables that are read; undefined when none are. */
      readonly environment: Readonly<Record<string, string | undefined>> | undefined;
      /** The arguments that are read. */
      readonly commandLine: readonly string[];
    };
  readonly transport: HttpTransportOptions;
  /** Whether calls go by, or carry on, headers of the requests in whose course they are made. */
  readonly forwardsHeaders: boolean;
  /** Where the configuration has rules for lanes; undefined where it has none. */
  readonly laneRules: string | undefined;
  readonly callOptionsFor: (service?: string, own?: CallOptions) => ResolvedCallOptions;
  readonly shutdown: Required<ShutdownOptions>;
  readonly requires: readonly RequiredService[];
  readonly readiness: { readonly registered: boolean };
  readonly probes: ProbeOptions | undefined;
  readonly zone: string | undefined;
  readonly profiles: readonly string[];
  readonly snapshotDirectory: string;
  readonly clock: Clock;
  /** What is logged to find a fault: names of backends, `calls`, `events`, `*`; empty as a rule. */
  readonly debug: readonly string[];
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
  const service = withHost(options.service ?? (given === undefined ? { name: application } : undefined), env);
  const standIn = options.registry === undefined || options.config === undefined ? standInFor(options) : undefined;
  const { discovery = {}, configOptions = {}, shutdown = {}, http = {}, clients = {} } = options;
  const production = env['NODE_ENV'] === 'production';
  const uses = [...registryUses(options, standIn, env), ...configUses(options, standIn)];
  const overrides = overridesFrom(options, env, production);
  const propagationDelayMs =
    shutdown.propagationDelayMs ?? (production && service !== undefined ? slowestNews(uses) : 0);
  return {
    application,
    service,
    uses,
    isLocalInProduction: production && standIn !== undefined,
    isProduction: production,
    registration: registersAtAll(env) ? (options.registration ?? 'background') : 'manual',
    registrationTimeoutMs: options.registrationTimeoutMs ?? 10_000,
    firstSnapshotTimeoutMs: discovery.firstSnapshotTimeoutMs ?? 5000,
    lingerMs: discovery.lingerMs ?? 30_000,
    emptyProtectionMs: discovery.emptyProtectionMs,
    overrides,
    nameFor: discovery.nameFor,
    config: {
      optional: configOptions.optional ?? false,
      loadTimeoutMs: configOptions.loadTimeoutMs ?? 10_000,
      debounceMs: configOptions.debounceMs ?? 50,
      snapshots: configOptions.snapshots ?? false,
      documents: configOptions.documents ?? [],
      layers: configOptions.layers ?? true,
      environment: environmentOf(configOptions.environment, env),
      commandLine: argumentsOf(configOptions.commandLine),
      decoders: configOptions.decoders ?? [],
      ...(configOptions.schema === undefined ? {} : { schema: configOptions.schema }),
    },
    transport: transportOptions(options.transport),
    forwardsHeaders: [http, ...Object.values(clients)].some(goesByRequests),
    laneRules: options.laneRules,
    callOptionsFor: (name, own) => {
      const forService = name !== undefined && Object.hasOwn(clients, name) ? clients[name] : undefined;
      const resolved = resolveCallOptions([http, forService, own], options.zone);
      return name !== undefined && overrides.has(name) ? toAnybody(resolved) : resolved;
    },
    shutdown: {
      deregisterTimeoutMs: shutdown.deregisterTimeoutMs ?? 5000,
      propagationDelayMs,
      drainTimeoutMs: shutdown.drainTimeoutMs ?? 10_000,
      hookTimeoutMs: shutdown.hookTimeoutMs ?? 5000,
      totalTimeoutMs: shutdown.totalTimeoutMs ?? propagationDelayMs + 20_000,
    },
    requires: options.requires ?? [],
    readiness: { registered: options.readiness?.registered ?? false },
    probes: options.probes,
    zone: options.zone,
    profiles: options.profiles ?? defaultProfiles(env),
    snapshotDirectory:
      options.snapshotDirectory ?? join(stateFolder(env), 'nestjs-service-discovery', application, 'snapshots'),
    clock: options.clock ?? systemClock,
    debug: wordsOf(env['DISCOVERY_DEBUG']),
  };
}

function wordsOf(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((word) => word.trim().toLowerCase())
    .filter((word) => word !== '');
}

/** `POD_IP` is the address where nothing is said of it: what a pod is called at, whatever interfaces it has. */
function withHost(service: ServiceOptions | undefined, env: NodeJS.ProcessEnv): ServiceOptions | undefined {
  const field = 'POD_IP';
  const address = (env[field] ?? '').trim();
  if (service === undefined || address === '') return service;
  const { host, ip, networks, ignoredInterfaces, family, preferHostname } = service;
  const said = [host, ip, networks, ignoredInterfaces, family, preferHostname];
  if (said.some((one) => one !== undefined)) return service;
  if (isIP(address) !== 0) return { ...service, host: address };
  throw new DiscoveryError('INVALID_OPTION', `the variable ${field} must be an IP address, got ${describe(address)}`, {
    field,
  });
}

/** The variables of the environment that configuration is read from. */
function environmentOf(
  given: ConfigOptions['environment'] = true,
  env: NodeJS.ProcessEnv,
): Readonly<Record<string, string | undefined>> | undefined {
  if (typeof given === 'object') return given;
  return given ? env : undefined;
}

function argumentsOf(given: ConfigOptions['commandLine'] = true): readonly string[] {
  if (typeof given === 'object') return given;
  return given ? process.argv.slice(2) : [];
}

/** @throws DiscoveryError `INVALID_OPTION` in production, unless they are asked for there */
function overridesFrom(
  { overrides, discovery = {}, http = {} }: DiscoveryModuleOptions,
  env: NodeJS.ProcessEnv,
  production: boolean,
): ServiceOverrides {
  const found = ServiceOverrides.of(overrides, env[ENVIRONMENT], http.basePathMetadata);
  if (production && found.names.length > 0 && discovery.overridesInProduction !== true) {
    const field = (env[ENVIRONMENT] ?? '') === '' ? 'overrides' : ENVIRONMENT;
    throw new DiscoveryError(
      'INVALID_OPTION',
      `${field} is for development, and this is production (NODE_ENV): take it away, or set discovery.overridesInProduction`,
      { field },
    );
  }
  return found;
}

/** What stands in for a service is called whatever is wanted of the service's own instances; the lane goes on with the call. */
function toAnybody(options: ResolvedCallOptions): ResolvedCallOptions {
  const { lane, warmUpMs } = options.routing;
  return {
    ...options,
    routing: {
      ...(lane === undefined ? {} : { lane: { ...lane, isolate: false, fallback: 'any' as const } }),
      ...(warmUpMs === undefined ? {} : { warmUpMs }),
    },
  };
}

/** `DISCOVERY_REGISTER=false` lets a laptop find the others without being found. */
function registersAtAll(env: NodeJS.ProcessEnv): boolean {
  const field = 'DISCOVERY_REGISTER';
  const text = env[field] ?? '';
  if (text === '' || text === 'true') return true;
  const problem =
    text === 'false' ? 'false is for development, and this is production (NODE_ENV)' : 'must be true or false';
  if (text === 'false' && env['NODE_ENV'] !== 'production') return false;
  throw new DiscoveryError('INVALID_OPTION', `${field} ${problem}, got ${describe(text)}`, { field });
}

/** Whether calls with these options need to know the request in whose course they are made. */
export function goesByRequests({
  forwardHeaders = [],
  routing = {},
}: Pick<CallOptions, 'forwardHeaders' | 'routing'>): boolean {
  return forwardHeaders.length > 0 || routing.lane !== undefined || routing.version !== undefined;
}

/** How long the slowest of the registries needs until all callers know that an instance is gone. */
function slowestNews(uses: readonly BackendUse[]): number {
  const registering = uses.filter(({ register }) => register);
  return Math.max(0, ...registering.map(({ definition }) => definition.propagationMs ?? 3000));
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

function registryUses(
  options: DiscoveryModuleOptions,
  standIn: BackendDefinition | undefined,
  env: NodeJS.ProcessEnv,
): readonly BackendUse[] {
  const register = registersAtAll(env);
  const given = options.registry ?? standIn ?? [];
  const list: readonly (BackendDefinition | NarrowedBackend)[] = isList(given) ? given : [given];
  return list.map((entry) =>
    'backend' in entry
      ? {
          definition: entry.backend,
          register: register && (entry.register ?? true),
          discover: entry.discover ?? true,
          config: false,
        }
      : { definition: entry, register, discover: true, config: false },
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
