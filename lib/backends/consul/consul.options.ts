import {
  checked,
  either,
  flag,
  integerBetween,
  listOf,
  literal,
  milliseconds,
  object,
  oneOf,
  port,
  recordOf,
  text,
  withDefaults,
  withEnvironment,
  type Check,
  type Resolved,
} from '../../backend/index.js';
import { assertName, DiscoveryError } from '../../model/index.js';
import type { WatchSettings } from './client/blocking-query.js';
import {
  CONNECTION_CHECKS,
  CONNECTION_DEFAULTS,
  resolveConnection,
  type ClientSettings,
  type ConsulConnectionOptions,
} from './client/client-options.js';
import { CONSUL_ENVIRONMENT } from './client/environment.js';
import type { Consistency } from './client/values.js';

/**
 * How Consul knows that an instance is well.
 * - `ttl`: the app says so, and is taken for dead when it doesn't in time. Follows the app's own health;
 * - `http`, `tcp`, `grpc`: the agent asks the app. It must be able to reach it, which it often can't into a container;
 * - `none`: nobody looks; an instance that died stays.
 */
export type ConsulCheckOptions =
  | {
      readonly type: 'ttl';
      /** How long a sign of life lasts, in milliseconds; one is given at two thirds of it. @default 30000 */
      readonly ttlMs?: number;
    }
  | {
      readonly type: 'http';
      /** @default the registration's `healthPath`, else '/health' */
      readonly path?: string;
      /** Port of the health endpoint, when it isn't the service's. */
      readonly port?: number;
      /** @default 'GET' */
      readonly method?: string;
      readonly headers?: Readonly<Record<string, string>>;
      /** Accept any certificate of an https service. @default false */
      readonly tlsSkipVerify?: boolean;
      /** @default 10000 */
      readonly intervalMs?: number;
      /** @default 5000 */
      readonly timeoutMs?: number;
    }
  | {
      readonly type: 'tcp';
      readonly port?: number;
      /** @default 10000 */
      readonly intervalMs?: number;
      /** @default 5000 */
      readonly timeoutMs?: number;
    }
  | {
      readonly type: 'grpc';
      readonly port?: number;
      /** The service that the health protocol is asked about. @default the whole server */
      readonly service?: string;
      /** @default false */
      readonly useTls?: boolean;
      readonly tlsSkipVerify?: boolean;
      /** @default 10000 */
      readonly intervalMs?: number;
      /** @default 5000 */
      readonly timeoutMs?: number;
    }
  | { readonly type: 'none' };

/** Which instances of a service are seen, and how they are asked for. */
export interface ConsulDiscoveryOptions {
  /**
   * Leave out instances with a check that doesn't pass; those in maintenance are seen as OUT_OF_SERVICE, and never
   * called. With false they are all seen, with their status. @default true
   */
  readonly passingOnly?: boolean;
  /** Take instances with a check in the state `warning` for UP, with their weight for that. @default false */
  readonly acceptWarning?: boolean;
  /** Only instances with all these tags. */
  readonly tags?: readonly string[];
  /** A filter expression that the server evaluates: `Service.Meta.version == "2"`. */
  readonly filter?: string;
  /** Only on nodes with this metadata. */
  readonly nodeMeta?: Readonly<Record<string, string>>;
  /** Sort by the estimated distance from this node, or from the agent's: `_agent`. */
  readonly near?: string;
  /** Datacentres to look in, side by side. @default the one of the connection */
  readonly datacenters?: readonly string[];
  /** How current the answers must be. @default that of the connection */
  readonly consistency?: Consistency;
  /** With `stale`: how long ago the answering server may have heard of the leader, in milliseconds. @default any time */
  readonly maxStaleMs?: number;
}

/** How configuration lies in the key/value store; the words and layouts are those of Spring Cloud Consul. */
export interface ConsulConfigOptions {
  /** Folders of the configuration; of several the last wins, as in Spring. @default ['config'] */
  readonly prefixes?: readonly string[];
  /** Name of the layer that all applications share. @default 'application' */
  readonly defaultContext?: string;
  /** Between the name of a layer and a profile. @default ',', with FILES '-' */
  readonly profileSeparator?: string;
  /**
   * - `KEY_VALUE`: each key below `config/<application>/` is one value;
   * - `YAML`, `PROPERTIES`: one document at `config/<application>/data`;
   * - `FILES`: documents by their extension: `config/<application>.yml`, `config/<application>-<profile>.properties`.
   * @default 'KEY_VALUE'
   */
  readonly format?: 'KEY_VALUE' | 'YAML' | 'PROPERTIES' | 'FILES';
  /** Name of the key with the document. @default 'data' */
  readonly dataKey?: string;
}

/** Options of {@link consul}. */
export interface ConsulOptions extends ConsulConnectionOptions {
  /** Unique within an app. @default 'consul' */
  readonly name?: string;
  /** How Consul knows that the instance is well. @default { type: 'ttl', ttlMs: 30000 } */
  readonly check?: ConsulCheckOptions;
  /**
   * How long an instance may be critical before the agent forgets it, in milliseconds; false: for ever. Consul's least is
   * a minute, and it looks every 30 seconds. @default 600000
   */
  readonly deregisterCriticalServiceAfterMs?: number | false;
  /**
   * How often the agent is asked whether it still has a registration, in milliseconds, when no TTL tells.
   * @default 30000
   */
  readonly verifyMs?: number;
  /** Let others change the tags through the catalogue. @default false */
  readonly enableTagOverride?: boolean;
  /** For all services, and what differs for some. */
  readonly discovery?: ConsulDiscoveryOptions & {
    /** What differs for single services, by their names. */
    readonly services?: Readonly<Record<string, ConsulDiscoveryOptions>>;
  };
  readonly config?: ConsulConfigOptions;
  readonly watch?: {
    /**
     * How long a server is asked to wait for a change, in milliseconds; at most ten minutes. Consul adds up to a sixteenth;
     * the default stays below the minute after which many proxies cut what waits. @default 55000
     */
    readonly waitMs?: number;
    /** Questions that may follow each other at once. @default 2 */
    readonly burst?: number;
    /** Beyond the burst, at least this long from one question to the next, in milliseconds. @default 500 */
    readonly minIntervalMs?: number;
    /** Longest pause after failures, in milliseconds. @default 30000 */
    readonly maxBackoffMs?: number;
  };
}

/** Options after defaults and checks. */
export interface ConsulSettings extends Pick<
  Resolved<ConsulOptions, typeof DEFAULTS>,
  'name' | 'check' | 'verifyMs' | 'enableTagOverride'
> {
  readonly connection: ClientSettings;
  readonly deregisterAfterMs: number | undefined;
  readonly discovery: ConsulDiscoveryOptions;
  readonly discoveryOf: (service: string) => ConsulDiscoveryOptions;
  readonly config: Required<ConsulConfigOptions>;
  readonly watch: WatchSettings;
}

/** How long a sign of life lasts when the options don't say. */
export const DEFAULT_TTL_MS = 30_000;

/** The least that Consul's reaper knows. */
const LEAST_DEREGISTER_MS = 60_000;
/** A TTL below leaves no time to renew it a second before its end. */
const LEAST_TTL_MS = 2000;

const consistency = oneOf('default', 'consistent', 'stale');

const DISCOVERY_CHECKS: Readonly<Record<string, Check>> = {
  passingOnly: flag,
  acceptWarning: flag,
  tags: listOf(text),
  filter: text,
  nodeMeta: recordOf(text),
  near: text,
  datacenters: listOf(text),
  consistency,
  maxStaleMs: milliseconds(0),
};

const PROBE_CHECKS = { type: text, port, intervalMs: milliseconds(1000), timeoutMs: milliseconds(100) };

const CHECK_CHECKS: Readonly<Record<string, Check>> = {
  ttl: object({ type: text, ttlMs: milliseconds(LEAST_TTL_MS) }),
  http: object({ ...PROBE_CHECKS, path: text, method: text, headers: recordOf(text), tlsSkipVerify: flag }),
  tcp: object(PROBE_CHECKS),
  grpc: object({ ...PROBE_CHECKS, service: text, useTls: flag, tlsSkipVerify: flag }),
  none: object({ type: text }),
};

const check: Check = (value, path) => {
  const type: unknown = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  const known = typeof type === 'string' && Object.hasOwn(CHECK_CHECKS, type) ? CHECK_CHECKS[type] : undefined;
  if (known === undefined) oneOf(...Object.keys(CHECK_CHECKS))(type, `${path}.type`);
  else known(value, path);
};

const CHECKS: Readonly<Record<string, Check>> = {
  ...CONNECTION_CHECKS,
  name: text,
  check,
  deregisterCriticalServiceAfterMs: either(
    `false, or milliseconds from ${LEAST_DEREGISTER_MS} (Consul's least)`,
    literal(false),
    milliseconds(LEAST_DEREGISTER_MS),
  ),
  verifyMs: milliseconds(100),
  enableTagOverride: flag,
  discovery: object({ ...DISCOVERY_CHECKS, services: recordOf(object(DISCOVERY_CHECKS)) }),
  config: object({
    prefixes: listOf(text),
    defaultContext: text,
    profileSeparator: text,
    format: oneOf('KEY_VALUE', 'YAML', 'PROPERTIES', 'FILES'),
    dataKey: text,
  }),
  watch: object({
    waitMs: integerBetween(100, 600_000),
    burst: integerBetween(1, 100),
    minIntervalMs: milliseconds(10),
    maxBackoffMs: milliseconds(10),
  }),
};

const DEFAULTS = {
  ...CONNECTION_DEFAULTS,
  name: 'consul',
  check: { type: 'ttl' } as ConsulCheckOptions,
  deregisterCriticalServiceAfterMs: 600_000,
  verifyMs: 30_000,
  enableTagOverride: false,
  discovery: {},
  config: {},
  watch: {},
} satisfies ConsulOptions;

const CONFIG_DEFAULTS = {
  prefixes: ['config'],
  defaultContext: 'application',
  format: 'KEY_VALUE',
  dataKey: 'data',
} satisfies ConsulConfigOptions;

const WATCH_DEFAULTS: WatchSettings = { waitMs: 55_000, burst: 2, minIntervalMs: 500, maxBackoffMs: 30_000 };

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveConsulOptions(options: ConsulOptions): ConsulSettings {
  return withEnvironment(options, CONSUL_ENVIRONMENT, resolved);
}

function resolved(options: ConsulOptions): ConsulSettings {
  const given = checked('consul()', options, CHECKS, DEFAULTS);
  const { name, deregisterCriticalServiceAfterMs, verifyMs, enableTagOverride } = given;
  assertName(name, 'name');
  const { services = {}, ...forAll } = given.discovery;
  const perService = new Map(Object.entries(services).map(([service, own]) => [service, { ...forAll, ...own }]));
  const config = withDefaults<ConsulConfigOptions, typeof CONFIG_DEFAULTS>(given.config, CONFIG_DEFAULTS);
  return Object.freeze({
    name,
    discovery: forAll,
    connection: resolveConnection('consul()', given),
    check: Object.freeze(given.check),
    deregisterAfterMs: deregisterCriticalServiceAfterMs === false ? undefined : deregisterCriticalServiceAfterMs,
    verifyMs,
    enableTagOverride,
    discoveryOf: (service: string) => perService.get(service) ?? forAll,
    config: {
      ...config,
      prefixes: config.prefixes.map((prefix) => folder(prefix)),
      defaultContext: configName(config.defaultContext, 'config.defaultContext'),
      profileSeparator: config.profileSeparator ?? (config.format === 'FILES' ? '-' : ','),
      dataKey: configName(config.dataKey, 'config.dataKey'),
    },
    watch: withDefaults(given.watch, WATCH_DEFAULTS),
  });
}

/** How often a registration is confirmed: at two thirds of a TTL, and never later than a second before its end. */
export function renewalMs(check: ConsulCheckOptions, verifyMs: number): number {
  if (check.type !== 'ttl') return verifyMs;
  const ttlMs = check.ttlMs ?? DEFAULT_TTL_MS;
  return Math.min((ttlMs * 2) / 3, ttlMs - 1000);
}

/** A prefix without slashes around it. */
function folder(prefix: string): string {
  const clean = prefix.replace(/^\/+|\/+$/g, '');
  for (const part of clean.split('/')) configName(part, 'config.prefixes');
  return clean;
}

function configName(value: string, field: string): string {
  try {
    assertName(value, field);
  } catch (cause) {
    if (!(cause instanceof DiscoveryError)) throw cause;
    throw new DiscoveryError('INVALID_OPTION', `consul(): ${cause.message}`, { field, cause });
  }
  return value;
}
