import {
  checked,
  either,
  listOf,
  milliseconds,
  object,
  oneOf,
  renamed,
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
import { asab, asabChecks, resolveAsabOptions, type AsabLayout, type AsabSettings } from './asab/asab.options.js';
import { normalizePath } from './client/paths.js';
import { parseServers } from './client/servers.js';
import type { AccessRule } from './client/zookeeper-client.js';
import { curatorChecks, type CuratorLayout, type CuratorPayload } from './curator/curator.options.js';

/** Where configuration lies, in Spring Cloud Zookeeper's words. */
export interface ZooKeeperConfigOptions {
  /** Node below which configuration lies. @default 'config' */
  readonly root?: string;
  /** The name of what all applications share. @default 'application' */
  readonly defaultContext?: string;
  /** Between an application and its profile. @default ',' */
  readonly profileSeparator?: string;
}

/** Options of {@link zookeeper}. */
export interface ZooKeeperOptions {
  /** Unique within an app. @default 'zookeeper' */
  readonly name?: string;
  /**
   * `host:port`, several in a list or separated by commas; a path after the last one is the root of everything (chroot)
   * and is created when it is missing.
   * @default `ASAB_ZOOKEEPER_SERVERS` or `ZOOKEEPER_SERVERS`, else `localhost:2181`
   */
  readonly servers?: string | readonly string[];
  /** How services are written and found. @default asab() */
  readonly layout?: AsabLayout | CuratorLayout;
  readonly config?: ZooKeeperConfigOptions;
  /**
   * The session timeout to ask for, in milliseconds: an instance that dies without a word is gone after this time. The
   * server grants 2 to 20 of its ticks (by default 4000 to 40000).
   * @default 30000
   */
  readonly sessionTimeoutMs?: number;
  /** How long opening one connection may take, in milliseconds. @default 5000 */
  readonly connectTimeoutMs?: number;
  /** How long an operation waits for a connection when there is none, in milliseconds. @default 3000 */
  readonly requestTimeoutMs?: number;
  /** How often everything that is watched is read anew although nobody said that it changed, in milliseconds. @default 300000 */
  readonly rescanMs?: number;
  /** Credentials, sent on every connection: `{ scheme: 'digest', credentials: 'user:password' }`. @default [] */
  readonly auth?: readonly { readonly scheme: string; readonly credentials: string }[];
  /** Speak TLS, with the servers' `secureClientPort`. @default plain text */
  readonly tls?: TlsOptions;
  /** Who may use the nodes that are created: everybody, or only who has the same credentials. @default 'open' */
  readonly access?: AccessRule;
}

const layoutCheck: Check = (value, path) => {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
  const check = kind === 'asab' ? asabChecks : kind === 'curator' ? curatorChecks : undefined;
  object({ kind: oneOf('asab', 'curator'), options: check ?? object({}) })(value, path);
};

const ENVIRONMENT: EnvironmentOptions<ZooKeeperOptions> = {
  servers: { variables: ['ASAB_ZOOKEEPER_SERVERS', 'ZOOKEEPER_SERVERS'] },
};

const CHECKS: Readonly<Record<string, Check>> = {
  name: text,
  servers: either('a text or a list of texts', text, listOf(text)),
  layout: layoutCheck,
  config: object({ root: text, defaultContext: text, profileSeparator: text }),
  sessionTimeoutMs: milliseconds(100),
  connectTimeoutMs: milliseconds(50),
  requestTimeoutMs: milliseconds(0),
  operationWaitMs: renamed('requestTimeoutMs'),
  rescanMs: milliseconds(100),
  auth: listOf(required(['scheme', 'credentials'], object({ scheme: text, credentials: text }))),
  access: oneOf('open', 'creator'),
  tls: tlsCheck(),
};

const DEFAULTS = {
  name: 'zookeeper',
  config: {},
  sessionTimeoutMs: 30_000,
  connectTimeoutMs: 5000,
  requestTimeoutMs: 3000,
  rescanMs: 300_000,
  auth: [],
  access: 'open',
} satisfies ZooKeeperOptions;

const CONFIG_DEFAULTS: Required<ZooKeeperConfigOptions> = {
  root: 'config',
  defaultContext: 'application',
  profileSeparator: ',',
};

/** Options after defaults and checks. */
export interface ZooKeeperSettings extends Omit<
  Resolved<ZooKeeperOptions, typeof DEFAULTS>,
  'servers' | 'layout' | 'config'
> {
  readonly servers: string | readonly string[];
  readonly layout:
    | { readonly kind: 'asab'; readonly settings: AsabSettings }
    | { readonly kind: 'curator'; readonly basePath: string; readonly payload: CuratorPayload };
  readonly config: Required<ZooKeeperConfigOptions>;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveZooKeeperOptions(options: ZooKeeperOptions, environment = process.env): ZooKeeperSettings {
  return withEnvironment(options, ENVIRONMENT, (filled) => resolved(filled, environment), environment);
}

function resolved(options: ZooKeeperOptions, environment: NodeJS.ProcessEnv): ZooKeeperSettings {
  const given = checked('zookeeper()', options, CHECKS, DEFAULTS);
  assertName(given.name, 'name');
  const servers = given.servers ?? 'localhost:2181';
  const { chroot } = parseServers(servers, 'servers');
  if (chroot !== undefined) normalizePath(chroot, 'servers');
  if (given.access === 'creator' && given.auth.length === 0) {
    const problem = "access 'creator' needs auth: without it nobody is the creator";
    throw new DiscoveryError('INVALID_OPTION', `zookeeper(): ${problem}`, { field: 'access' });
  }
  const config = withDefaults(given.config, CONFIG_DEFAULTS);
  return Object.freeze({
    ...given,
    servers,
    layout: resolveLayout(given.layout ?? asab(), environment),
    config: { ...config, root: normalizePath(config.root, 'config.root') },
  });
}

function resolveLayout(
  layout: AsabLayout | CuratorLayout,
  environment: NodeJS.ProcessEnv,
): ZooKeeperSettings['layout'] {
  if (layout.kind === 'asab') return { kind: 'asab', settings: resolveAsabOptions(layout.options, environment) };
  const { basePath = '/services', payload = 'spring' } = layout.options;
  return { kind: 'curator', basePath: normalizePath(basePath, 'layout.basePath'), payload };
}
