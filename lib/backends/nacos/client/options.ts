import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
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
  recordOf,
  renamed,
  text,
  tlsCheck,
  withDefaults,
  type Check,
  type Logger,
  type LogLevel,
  type Resolved,
  type TlsOptions,
} from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { parseServerAddresses, type ServerAddress } from './addresses.js';
import type { NacosConfigFilter } from './config/cipher.js';

/** Keys of Alibaba Cloud, as a provider gives them for each request. */
export interface NacosAccessKeys {
  readonly accessKey: string;
  /** Of `accessKey`: signs the requests. */
  readonly secretKey: string;
  /** Of temporary credentials. */
  readonly securityToken?: string;
}

/** Gives the access keys for a request; called for every request, so it should remember them. */
export type NacosCredentialsProvider = () => NacosAccessKeys | Promise<NacosAccessKeys>;

/** How gRPC connections are made. */
export interface NacosGrpcOptions {
  /** The gRPC port is the HTTP port plus this. @default 1000 */
  readonly portOffset?: number;
  /** Largest message that is accepted, in bytes. @default 104857600 */
  readonly maxReceiveMessageLength?: number;
  /**
   * HTTP/2 pings on a connection that is silent for this long, in milliseconds. Servers tolerate one ping in five
   * minutes unless they sent something meanwhile, which the health checks see to. @default 60000
   */
  readonly keepAliveMs?: number;
  /** A ping without an answer for this long ends the connection, in milliseconds. @default 20000 */
  readonly keepAliveTimeoutMs?: number;
  /**
   * HTTP/2 flow control window in bytes. grpc-js has one setting for stream and connection. @default 10485760
   */
  readonly initialWindowSize?: number;
}

/** Options of {@link NacosClient} and of the services made without one. */
export interface NacosClientOptions {
  /**
   * `host:port`, `http://host:port` or `https://host:port`; a list, or one text with commas. The port is that of the HTTP
   * API, 8848 if left out. Either this or `endpoint` is required.
   */
  readonly serverAddresses?: string | readonly string[];
  /**
   * An address server: `host[:port]` (port 8080, path `<contextPath>/serverlist`) or a complete URL. It answers with one
   * server a line.
   */
  readonly endpoint?: string;
  /** How often the endpoint is asked again, in milliseconds. @default 30000 */
  readonly endpointRefreshMs?: number;
  /**
   * Namespace **id**, not its name, sent as it is written: servers before 3.0 take `''` and `public` for two of them over
   * gRPC. @default the public one: `public` for services, `''` for configuration
   */
  readonly namespace?: string;
  /** Path of the HTTP API. @default '/nacos' */
  readonly contextPath?: string;
  /** Logs in with `password`, and again ahead of the end of the token. */
  readonly username?: string;
  /** Of `username`. */
  readonly password?: string;
  /** Of Alibaba Cloud; requests are then signed. */
  readonly accessKey?: string;
  /** Of `accessKey`. */
  readonly secretKey?: string;
  /** Instead of `accessKey` and `secretKey`. */
  readonly credentialsProvider?: NacosCredentialsProvider;
  /** Region for version 4 signatures, such as `cn-hangzhou`. @default version 1 signatures */
  readonly signatureRegion?: string;
  /** Told to the server as the connection's application. @default 'unknown' */
  readonly appName?: string;
  /** Further labels of the connection, for grey releases; `app_` is put before each name. @default {} */
  readonly labels?: Readonly<Record<string, string>>;
  /** A request that takes longer has failed, in milliseconds. @default 3000 */
  readonly requestTimeoutMs?: number;
  /** After this much silence the connection is probed, in milliseconds. @default 5000 */
  readonly healthCheckMs?: number;
  readonly grpc?: NacosGrpcOptions;
  /**
   * Encrypts the gRPC connection, and says how `https` addresses are spoken to; `{}` trusts the system's authorities.
   * @default gRPC in plain text
   */
  readonly tls?: TlsOptions;
  /** Folder of configuration snapshots, failover files and the naming cache. @default '~/nacos/cache' */
  readonly cacheDirectory?: string;
  /** Keep no snapshots of configuration, and read none. @default false */
  readonly noSnapshot?: boolean;
  /** Start with the services that the cache folder holds, until the server has answered. @default false */
  readonly loadCacheAtStart?: boolean;
  /** Ignore a list without instances after one that had some. @default false */
  readonly emptyPushProtection?: boolean;
  /** Every subscription is asked for again after this time, in case a push was lost; in milliseconds. @default 30000 */
  readonly serviceRefreshMs?: number;
  /** All listened configuration is compared again after this time, in milliseconds. @default 180000 */
  readonly configRefreshMs?: number;
  /** Transforms content before it is published and after it is read: encryption. */
  readonly configFilter?: NacosConfigFilter;
  /** Takes the lines. @default silent */
  readonly logger?: Logger;
  /** From which severity on lines are written. @default 'log' */
  readonly logLevel?: LogLevel;
}

const addresses: Check = either('host:port or a list of them', text, listOf(text));

/** The checks of every field of {@link NacosClientOptions}. */
export const clientChecks: Readonly<Record<keyof NacosClientOptions | 'verifyCertificates', Check>> = {
  serverAddresses: addresses,
  endpoint: text,
  endpointRefreshMs: milliseconds(100),
  namespace: anything,
  contextPath: anything,
  username: text,
  password: text,
  accessKey: text,
  secretKey: text,
  credentialsProvider: callable,
  signatureRegion: text,
  appName: text,
  labels: recordOf(text),
  requestTimeoutMs: milliseconds(10),
  healthCheckMs: milliseconds(100),
  grpc: object({
    portOffset: integerBetween(-65535, 65535),
    maxReceiveMessageLength: integerBetween(1024, 2 ** 31 - 1),
    keepAliveMs: milliseconds(1000),
    keepAliveTimeoutMs: milliseconds(100),
    initialWindowSize: integerBetween(65535, 2 ** 31 - 1),
  }),
  tls: tlsCheck(),
  verifyCertificates: renamed('tls.rejectUnauthorized'),
  cacheDirectory: text,
  noSnapshot: flag,
  loadCacheAtStart: flag,
  emptyPushProtection: flag,
  serviceRefreshMs: milliseconds(100),
  configRefreshMs: milliseconds(100),
  configFilter: object({ name: anything, encrypt: callable, decrypt: callable }),
  logger: anything,
  logLevel: oneOf(...LOG_LEVELS),
};

const DEFAULTS = {
  endpointRefreshMs: 30_000,
  contextPath: '/nacos',
  appName: 'unknown',
  labels: {},
  requestTimeoutMs: 3000,
  healthCheckMs: 5000,
  noSnapshot: false,
  loadCacheAtStart: false,
  emptyPushProtection: false,
  serviceRefreshMs: 30_000,
  configRefreshMs: 180_000,
  grpc: {},
} satisfies NacosClientOptions;

const GRPC_DEFAULTS: Required<NacosGrpcOptions> = {
  portOffset: 1000,
  maxReceiveMessageLength: 100 * 1024 * 1024,
  keepAliveMs: 60_000,
  keepAliveTimeoutMs: 20_000,
  initialWindowSize: 10 * 1024 * 1024,
};

/** A namespace as services and as configuration go by it; they differ where none was given. */
export interface NacosNamespaces {
  readonly naming: string;
  readonly config: string;
}

/** Client options after defaults and checks. */
export interface NacosClientSettings extends Omit<
  Resolved<NacosClientOptions, typeof DEFAULTS>,
  | 'serverAddresses'
  | 'endpoint'
  | 'endpointRefreshMs'
  | 'namespace'
  | 'accessKey'
  | 'secretKey'
  | 'credentialsProvider'
  | 'cacheDirectory'
  | 'grpc'
  | 'logger'
  | 'logLevel'
> {
  readonly servers: readonly ServerAddress[];
  readonly namespaces: NacosNamespaces;
  readonly endpoint: { readonly url: string; readonly refreshMs: number } | undefined;
  readonly credentials: NacosCredentialsProvider | undefined;
  readonly grpc: Required<NacosGrpcOptions>;
  readonly cacheDirectory: string;
}

/**
 * Checks the options of a client and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function resolveClientOptions(what: string, options: NacosClientOptions): NacosClientSettings {
  checkOptions(what, options, clientChecks);
  return settingsOf(options);
}

/** The settings of options whose types were checked. */
export function settingsOf(options: NacosClientOptions): NacosClientSettings {
  const given = withDefaults<NacosClientOptions, typeof DEFAULTS>(options, DEFAULTS);
  const {
    serverAddresses,
    endpoint,
    endpointRefreshMs,
    namespace,
    accessKey,
    secretKey,
    credentialsProvider,
    ...settings
  } = given;
  const { username, password } = settings;
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    throw invalid(accessKey === undefined ? 'accessKey' : 'secretKey', 'is required with the other half of the pair');
  }
  if ((username === undefined) !== (password === undefined)) {
    throw invalid(username === undefined ? 'username' : 'password', 'is required with the other half');
  }
  if (serverAddresses === undefined && endpoint === undefined) {
    throw invalid('serverAddresses', 'is required (or endpoint), such as localhost:8848');
  }
  const keys = accessKey === undefined || secretKey === undefined ? undefined : { accessKey, secretKey };
  const contextPath = normalContextPath(settings.contextPath);
  return Object.freeze(
    conceal({
      ...settings,
      servers: serverAddresses === undefined ? [] : parseServerAddresses(serverAddresses, 'serverAddresses'),
      endpoint:
        endpoint === undefined ? undefined : { url: endpointUrl(endpoint, contextPath), refreshMs: endpointRefreshMs },
      namespaces: namespacesOf(namespace),
      contextPath,
      credentials: credentialsProvider ?? (keys === undefined ? undefined : () => keys),
      grpc: withDefaults(settings.grpc, GRPC_DEFAULTS),
      cacheDirectory: resolve(settings.cacheDirectory ?? join(homedir(), 'nacos', 'cache')),
    }),
  );
}

/** The public namespace is called differently by either half of the servers, and each of its names is a namespace too. */
function namespacesOf(given: unknown): NacosNamespaces {
  if (given === undefined) return { naming: 'public', config: '' };
  if (typeof given !== 'string' || !/^[\w-]{0,128}$/.test(given)) {
    throw invalid('namespace', 'must be the id of a namespace: letters, digits, _ and -');
  }
  return { naming: given, config: given };
}

function normalContextPath(given: unknown): string {
  if (typeof given !== 'string' || !/^[\w./~-]*$/.test(given) || given.includes('..')) {
    throw invalid('contextPath', 'must be a path such as /nacos');
  }
  const inner = given.replace(/^\/+|\/+$/g, '');
  return inner === '' ? '' : `/${inner}`;
}

function endpointUrl(endpoint: string, contextPath: string): string {
  const url = endpoint.includes('://') ? endpoint : `http://${endpoint}`;
  if (!URL.canParse(url)) throw invalid('endpoint', 'must be host:port or a URL');
  const parsed = new URL(url);
  if (parsed.username !== '' || parsed.password !== '')
    throw invalid('endpoint', 'must not contain a user or a password');
  if (!endpoint.includes('://')) {
    parsed.port = parsed.port === '' ? '8080' : parsed.port;
    if (parsed.pathname === '/') parsed.pathname = `${contextPath}/serverlist`;
  }
  return parsed.href;
}

function invalid(field: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `nacos: ${field} ${problem}`, { field });
}
