import {
  conceal,
  anything,
  callable,
  checkOptions,
  either,
  flag,
  integerBetween,
  listOf,
  milliseconds,
  nameServer,
  object,
  oneOf,
  port,
  recordOf,
  required,
  text,
  tlsCheck,
  withDefaults,
  withEnvironment,
  type Check,
  type EnvironmentOptions,
  type Resolved,
  type TlsOptions,
} from '../../backend/index.js';
import { assertName, DiscoveryError } from '../../model/index.js';
import type { EurekaHttpClient } from './client/http-client.js';
import { parseServiceUrls, type ServiceUrlDefaults } from './client/service-urls.js';
import type { DataCenterName } from './eureka.instance.js';

/** One server URL, several separated by commas, or a list of either. */
export type ServiceUrls = string | readonly string[];

/** Where and how Eureka servers are found and spoken to. */
export interface EurekaConnectionOptions {
  /**
   * The servers. `http://host:8761` gets the default context path, `http://host:8761/eureka/v2` is used as written,
   * `host:8761` gets the protocol too. `http://user:password@host:8761/eureka` gives that server its own credentials
   * (percent-encode what isn't a letter or a digit).
   * @default 'http://localhost:8761/eureka'
   */
  readonly serviceUrls?: ServiceUrls;
  /** The servers of each zone, instead of `serviceUrls`. */
  readonly availabilityZones?: Readonly<Record<string, ServiceUrls>>;
  /** Finds the servers through DNS, instead of `serviceUrls`. */
  readonly dns?: EurekaDnsOptions;
  /** The own zone. @default the app's zone, Amazon's word, else the first of `availabilityZones`, else `default` */
  readonly zone?: string;
  /** Prefer servers (and, in `EurekaClient`, instances) of the own zone. @default true */
  readonly preferSameZone?: boolean;
  /** For servers given without one. @default 'http' */
  readonly protocol?: 'http' | 'https';
  /** Context path of servers given without a path. @default '/eureka' */
  readonly context?: string;
  /** Port of servers given without one. @default the protocol's own */
  readonly port?: number;
  /** For servers given without credentials. */
  readonly username?: string;
  /** For servers given without credentials, with `username`. */
  readonly password?: string;
  /** Own certificate authority, client certificate … for `https`. */
  readonly tls?: TlsOptions;
  /** Does the HTTP requests instead of Node's own. Closing it is the caller's affair. */
  readonly httpClient?: EurekaHttpClient;
  /** How long a connection may take to be made, in milliseconds. @default 3000 */
  readonly connectTimeoutMs?: number;
  /** How long a server may be silent, in milliseconds; then the next one is tried. @default 5000 */
  readonly requestTimeoutMs?: number;
  /** A longer answer is refused, in bytes after decompression. @default 67108864 */
  readonly maxResponseBytes?: number;
  /** Redirects that are followed; credentials go to no other host. @default 5 */
  readonly maxRedirects?: number;
  /** Servers tried by one request. @default 3 */
  readonly maxAttempts?: number;
  /** Try the servers of a zone in an order of this client's own, so that not all begin with the first. @default true */
  readonly shuffleServers?: boolean;
  /** After about this time (± 50 %) another server is picked, in milliseconds. @default 1200000 */
  readonly sessionMs?: number;
}

/** How servers are found through TXT records: `txt.<region>.<domain>` names zones, `txt.<zone's host name>` servers. */
export interface EurekaDnsOptions {
  /** Such as `mydomaintest.netflix.net`. */
  readonly domain: string;
  /** Such as `us-east-1`. */
  readonly region: string;
  /** Milliseconds between look-ups, which happen in the background. @default 300000 */
  readonly refreshMs?: number;
  /** Name servers, `10.0.0.2` or `10.0.0.2:53`. @default the system's */
  readonly nameServers?: readonly string[];
}

/** How the registry is read. */
export interface EurekaReadOptions {
  /** Milliseconds between reads of the registry. @default 30000 */
  readonly fetchIntervalMs?: number;
  /** Ask for changes only, where the server has them. @default true */
  readonly deltas?: boolean;
  /** Regions whose registries are to be included. */
  readonly remoteRegions?: readonly string[];
  /** Read the instances of this one virtual name only. */
  readonly vipAddress?: string;
  /** Call instances by address instead of host name. @default false */
  readonly preferIp?: boolean;
  /** Call the secure port of instances that have both enabled. @default false */
  readonly preferHttps?: boolean;
}

/** What is registered beside what the app itself says. */
export interface EurekaInstanceOptions {
  /** Replaces the chosen host name. */
  readonly hostName?: string;
  /** Replaces the chosen address. */
  readonly ipAddr?: string;
  /** Replaces the registration's port. */
  readonly port?: number;
  /** Whether the plain port is to be called. @default true, or false for an app that speaks `https` */
  readonly portEnabled?: boolean;
  /** The port for https. @default 443, or the registration's port for an app that speaks `https` */
  readonly securePort?: number;
  /** Whether the port for https is to be called. @default false, or true for an app that speaks `https` */
  readonly securePortEnabled?: boolean;
  /** A URL, or a path below the app's own. @default '/' */
  readonly homePageUrl?: string;
  /** A URL, or a path below the app's own. @default '/info' */
  readonly statusPageUrl?: string;
  /** A URL, or a path below the app's own. @default the registration's `healthPath`, else '/health' */
  readonly healthCheckUrl?: string;
  /** A URL. @default none */
  readonly secureHealthCheckUrl?: string;
  /** Virtual names, comma separated. @default the service's name in small letters */
  readonly vipAddress?: string;
  /** Virtual name of the secure port, by which others may find the app. @default `vipAddress` */
  readonly secureVipAddress?: string;
  /** Name of a group of applications; for show. */
  readonly appGroupName?: string;
  /** Name of the autoscaling group on Amazon. */
  readonly asgName?: string;
  /** Whether the instance is the Eureka server itself. */
  readonly isCoordinatingDiscoveryServer?: boolean;
  /** Where it runs; `Amazon` asks the metadata service for address and zone. @default 'MyOwn' */
  readonly dataCenter?: DataCenterName;
  /** Where Amazon's metadata service is; asked only with the data centre `Amazon`. @default 'http://169.254.169.254' */
  readonly amazonMetadataUrl?: string;
  /** How long each question to it may take, in milliseconds. @default 1000 */
  readonly amazonTimeoutMs?: number;
}

/** How the registration is kept. */
export interface EurekaLeaseOptions {
  /** Milliseconds between heartbeats. Servers count on 30 s when they decide on self-preservation. @default 30000 */
  readonly heartbeatMs?: number;
  /** How long the server keeps an instance without a heartbeat, in milliseconds; whole seconds. @default 90000 */
  readonly leaseMs?: number;
  /** Changes of status or metadata that may follow each other at once. @default 2 */
  readonly changeBurst?: number;
  /** Beyond them one change, the newest, in this time, in milliseconds. @default 15000 */
  readonly changeIntervalMs?: number;
  readonly instance?: EurekaInstanceOptions;
}

/** Options of {@link eureka}. */
export interface EurekaOptions extends EurekaConnectionOptions, EurekaReadOptions, EurekaLeaseOptions {
  /** Unique within an app. @default 'eureka' */
  readonly name?: string;
}

const DEFAULTS = {
  name: 'eureka',
  preferSameZone: true,
  protocol: 'http',
  context: '/eureka',
  tls: {},
  connectTimeoutMs: 3000,
  requestTimeoutMs: 5000,
  maxResponseBytes: 64 * 1024 * 1024,
  maxRedirects: 5,
  maxAttempts: 3,
  shuffleServers: true,
  sessionMs: 20 * 60_000,
  fetchIntervalMs: 30_000,
  deltas: true,
  remoteRegions: [],
  preferIp: false,
  preferHttps: false,
  heartbeatMs: 30_000,
  leaseMs: 90_000,
  changeBurst: 2,
  changeIntervalMs: 15_000,
  instance: {},
} satisfies EurekaOptions;

type WithDefaults = Resolved<EurekaOptions, typeof DEFAULTS>;

/** Options after defaults and checks. */
export interface EurekaSettings {
  readonly name: string;
  readonly connection: ConnectionSettings;
  readonly read: Pick<WithDefaults, keyof EurekaReadOptions>;
  readonly lease: Pick<WithDefaults, keyof EurekaLeaseOptions>;
}

/** {@link EurekaConnectionOptions} after defaults and checks. */
export interface ConnectionSettings extends Omit<
  Pick<WithDefaults, keyof EurekaConnectionOptions>,
  'serviceUrls' | 'availabilityZones' | 'dns' | 'protocol' | 'context' | 'port' | 'username' | 'password'
> {
  readonly urlDefaults: ServiceUrlDefaults;
  /** Zones in the order in which they were given. */
  readonly zones: ReadonlyMap<string, readonly string[]>;
  readonly dns: Required<EurekaDnsOptions> | undefined;
}

/** Spring's variables. */
const ENVIRONMENT: EnvironmentOptions<EurekaOptions> = {
  serviceUrls: {
    variables: ['EUREKA_CLIENT_SERVICEURL_DEFAULTZONE', 'EUREKA_CLIENT_SERVICE_URL_DEFAULTZONE'],
    unless: ['availabilityZones', 'dns'],
  },
};

const urls = either('a URL or a list of URLs', text, listOf(text));

/** The checks of the options that `eureka()` and `EurekaClient` share. */
export const SHARED_CHECKS: Readonly<Record<string, Check>> = {
  name: text,
  serviceUrls: urls,
  availabilityZones: recordOf(urls),
  dns: required(
    ['domain', 'region'],
    object({ domain: text, region: text, refreshMs: milliseconds(1000), nameServers: listOf(nameServer) }),
  ),
  zone: text,
  preferSameZone: flag,
  protocol: oneOf('http', 'https'),
  context: anything,
  port,
  username: text,
  password: text,
  tls: tlsCheck(),
  httpClient: required(['request'], (value, path) => object({ ...methodsOf(value), request: callable })(value, path)),
  connectTimeoutMs: milliseconds(1),
  requestTimeoutMs: milliseconds(1),
  maxResponseBytes: integerBetween(1024, 2 ** 31 - 1),
  maxRedirects: integerBetween(0, 20),
  maxAttempts: integerBetween(1, 100),
  shuffleServers: flag,
  sessionMs: milliseconds(1000),
  fetchIntervalMs: milliseconds(10),
  deltas: flag,
  remoteRegions: listOf(text),
  vipAddress: text,
  preferIp: flag,
  preferHttps: flag,
  heartbeatMs: milliseconds(10),
  leaseMs: milliseconds(1000),
  changeBurst: integerBetween(1, 1000),
  changeIntervalMs: milliseconds(0),
  instance: object({
    hostName: text,
    ipAddr: text,
    port,
    portEnabled: flag,
    securePort: port,
    securePortEnabled: flag,
    homePageUrl: text,
    statusPageUrl: text,
    healthCheckUrl: text,
    secureHealthCheckUrl: text,
    vipAddress: text,
    secureVipAddress: text,
    appGroupName: text,
    asgName: text,
    isCoordinatingDiscoveryServer: flag,
    dataCenter: oneOf('MyOwn', 'Netflix', 'Amazon'),
    amazonMetadataUrl: text,
    amazonTimeoutMs: milliseconds(1),
  }),
};

/** An object of any class: whatever else it has is its own affair. */
function methodsOf(value: unknown): Record<string, Check> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.keys(value).map((key) => [key, anything]));
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveEurekaOptions(options: EurekaOptions): EurekaSettings {
  return withEnvironment(options, ENVIRONMENT, (filled) => {
    checkOptions('eureka()', filled, SHARED_CHECKS);
    return resolveSettings('eureka()', filled);
  });
}

/** Fills in the defaults of options that were checked. @throws DiscoveryError as {@link resolveEurekaOptions} */
export function resolveSettings(what: string, given: EurekaOptions): EurekaSettings {
  const options = withDefaults(given, DEFAULTS);
  const { name, heartbeatMs, leaseMs, changeBurst, changeIntervalMs } = options;
  const { fetchIntervalMs, deltas, remoteRegions, vipAddress, preferIp, preferHttps } = options;
  assertName(name, 'name');
  if (leaseMs % 1000 !== 0) {
    throw new DiscoveryError('INVALID_OPTION', `${what}: leaseMs must be whole seconds, got ${leaseMs}`, {
      field: 'leaseMs',
    });
  }
  if (heartbeatMs >= leaseMs) {
    const problem = `heartbeatMs (${heartbeatMs}) must be shorter than leaseMs (${leaseMs})`;
    throw new DiscoveryError('INVALID_OPTION', `${what}: ${problem}`, { field: 'heartbeatMs' });
  }
  return Object.freeze({
    name,
    connection: resolveConnection(what, options),
    read: { fetchIntervalMs, deltas, remoteRegions, vipAddress, preferIp, preferHttps },
    lease: {
      ...{ heartbeatMs, leaseMs, changeBurst, changeIntervalMs },
      instance: resolveInstance(what, options.instance),
    },
  });
}

function resolveConnection(what: string, options: WithDefaults): ConnectionSettings {
  const given = [options.serviceUrls, options.availabilityZones, options.dns].filter((one) => one !== undefined);
  if (given.length > 1) {
    throw new DiscoveryError('INVALID_OPTION', `${what}: give one of serviceUrls, availabilityZones and dns`, {
      field: 'serviceUrls',
    });
  }
  if ((options.username === undefined) !== (options.password === undefined)) {
    const field = options.username === undefined ? 'username' : 'password';
    throw new DiscoveryError('INVALID_OPTION', `${what}: ${field} is required when the other one is given`, { field });
  }
  const { protocol, context, port, username, password } = options;
  if (typeof context !== 'string' || !/^(?:\/[\w.~%-]+)*\/?$/.test(context)) {
    throw new DiscoveryError('INVALID_OPTION', `${what}: context must be a path such as /eureka/v2`, {
      field: 'context',
    });
  }
  const urlDefaults: ServiceUrlDefaults = { protocol, context, port, username, password };
  const { dns, availabilityZones } = options;
  const zones = new Map(
    Object.entries(
      availabilityZones ?? (dns === undefined ? { '': options.serviceUrls ?? 'http://localhost:8761/eureka' } : {}),
    ).map(([zone, list]) => {
      const field = zone === '' ? 'serviceUrls' : `availabilityZones.${zone}`;
      return [zone, parseServiceUrls(list, urlDefaults, `${what}: ${field}`, field)];
    }),
  );
  return conceal({
    ...options,
    urlDefaults,
    zones,
    dns: dns === undefined ? undefined : { refreshMs: 300_000, nameServers: [], ...dns },
  });
}

function resolveInstance(what: string, instance: EurekaInstanceOptions): EurekaInstanceOptions {
  const { amazonMetadataUrl } = instance;
  if (amazonMetadataUrl !== undefined && !/^https?:\/\/[^@]+$/.test(amazonMetadataUrl)) {
    throw new DiscoveryError('INVALID_OPTION', `${what}: instance.amazonMetadataUrl must be an http URL`, {
      field: 'instance.amazonMetadataUrl',
    });
  }
  return instance;
}
