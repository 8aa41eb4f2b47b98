import {
  conceal,
  anything,
  either,
  flag,
  integerBetween,
  listOf,
  milliseconds,
  oneOf,
  renamed,
  serverTexts,
  text,
  tlsCheck,
  withDefaults,
  type Check,
  type Resolved,
  type TlsOptions,
} from '../../../backend/index.js';
import { defined, DiscoveryError } from '../../../model/index.js';
import type { NatsConnection } from './port.js';

/** How to speak TLS to NATS servers. */
export interface NatsTlsOptions extends TlsOptions {
  /** TLS from the first byte, for servers that are set so. @default false */
  readonly handshakeFirst?: boolean;
}

/** How to reach the NATS servers, and as whom. */
export interface NatsConnectionOptions {
  /** Addresses of the cluster: `nats://host:port`, `tls://host:port` or `host:port`. @default '127.0.0.1:4222' */
  readonly servers?: string | readonly string[];
  /**
   * A connection that the app has already, made by `nats` or `@nats-io/transport-node`. It stays the app's: it is never
   * drained or closed here. The other connection options don't apply then.
   */
  readonly connection?: NatsConnection;
  /** The npm package that makes the connection: whichever of the two is installed. @default 'nats' */
  readonly library?: 'nats' | '@nats-io/transport-node';
  /** The connection's name in the server's monitoring. @default the app's name */
  readonly connectionName?: string;
  /** Logs in with `password`. */
  readonly username?: string;
  /** Of `username`. */
  readonly password?: string;
  /** Logs in with a token alone. */
  readonly token?: string;
  /** Seed of an NKey (`SU…`): the server's challenge is signed with it; it never leaves the process. */
  readonly nkeySeed?: string;
  /** Content of a credentials file (JWT and seed), as `nsc` writes it. */
  readonly credentials?: string;
  readonly tls?: NatsTlsOptions;
  /** How long one try to connect may take, in milliseconds. @default 5000 */
  readonly connectTimeoutMs?: number;
  /** What to do when no server answers at the start: try for ever, or reject `open()`. @default 'wait' */
  readonly firstConnect?: 'wait' | 'fail';
  /**
   * Longest time between tries to reconnect, in milliseconds. Each wait is drawn at random between a fifth of it and the
   * whole; there is no limit to the tries. @default 2000
   */
  readonly reconnectWaitMs?: number;
  /** Milliseconds between the pings that find a silent connection. @default 20000 */
  readonly pingIntervalMs?: number;
  /** Unanswered pings after which the connection counts as lost. @default 2 */
  readonly maxPingsOut?: number;
  /** Prefix of reply subjects, when the account may use only some. @default '_INBOX' */
  readonly inboxPrefix?: string;
  /** How long one request to the server may take, in milliseconds. @default 5000 */
  readonly requestTimeoutMs?: number;
}

/** The fields of {@link NatsConnectionOptions}, for `checkOptions`. */
export const CONNECTION_OPTIONS: Readonly<Record<string, Check>> = {
  servers: either('an address or a list of addresses', text, listOf(text)),
  connection: anything,
  library: oneOf('nats', '@nats-io/transport-node'),
  connectionName: text,
  username: text,
  user: renamed('username'),
  password: text,
  token: text,
  nkeySeed: text,
  credentials: text,
  tls: tlsCheck({ handshakeFirst: flag }),
  connectTimeoutMs: milliseconds(1),
  firstConnect: oneOf('wait', 'fail'),
  reconnectWaitMs: milliseconds(1),
  pingIntervalMs: milliseconds(1),
  maxPingsOut: integerBetween(1, 1000),
  inboxPrefix: text,
  requestTimeoutMs: milliseconds(1),
};

const DEFAULTS = {
  library: 'nats',
  connectTimeoutMs: 5000,
  firstConnect: 'wait',
  reconnectWaitMs: 2000,
  pingIntervalMs: 20_000,
  maxPingsOut: 2,
  inboxPrefix: '_INBOX',
  requestTimeoutMs: 5000,
} satisfies NatsConnectionOptions;

/** What a client shows who it is with. */
type Authentication = Pick<NatsConnectionOptions, 'username' | 'password' | 'token' | 'nkeySeed' | 'credentials'>;

/** The connection options with their defaults. */
export interface ConnectionSettings extends Omit<
  Resolved<NatsConnectionOptions, typeof DEFAULTS>,
  'servers' | keyof Authentication
> {
  readonly servers: readonly string[];
  readonly authentication: Authentication;
}

const AUTHENTICATION = ['username', 'token', 'nkeySeed', 'credentials'] as const;

/**
 * Fills in the defaults; the types have been checked before.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function resolveConnectionOptions(what: string, options: NatsConnectionOptions): ConnectionSettings {
  const { username, password, token, nkeySeed, credentials, ...rest } = options;
  const settings = withDefaults<typeof rest, typeof DEFAULTS>(rest, DEFAULTS);
  const { connection } = settings;
  const refuse = (field: string, problem: string): DiscoveryError =>
    new DiscoveryError('INVALID_OPTION', `${what}: ${field} ${problem}`, { field });
  if (connection !== undefined && !isConnection(connection)) {
    throw refuse('connection', 'must be a connection made by nats or @nats-io/transport-node');
  }
  if (connection !== undefined && options.servers !== undefined) {
    throw refuse('servers', 'can not be given together with a connection');
  }
  const ways = AUTHENTICATION.filter((way) => options[way] !== undefined);
  if (ways.length > 1) throw refuse(ways[1] ?? '', `can not be used together with ${ways[0]}`);
  if (password !== undefined && username === undefined) throw refuse('password', 'needs a username');
  const given =
    options.servers === undefined || options.servers.length === 0
      ? []
      : serverTexts(options.servers, `${what}: servers`, 'servers');
  given.forEach((server, index) => {
    if (!/^(?:(?:nats|tls):\/\/)?(?:[^@\s/]*@)?[^@\s/?#]+$/.test(server)) {
      throw refuse(`servers[${index}]`, 'must be an address such as nats://10.0.0.5:4222');
    }
  });
  return Object.freeze(
    conceal({
      ...settings,
      servers: Object.freeze(given.length === 0 ? ['127.0.0.1:4222'] : given),
      authentication: Object.freeze(conceal(defined({ username, password, token, nkeySeed, credentials }))),
    }),
  );
}

function isConnection(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return ['publish', 'subscribe', 'request', 'flush', 'closed', 'status'].every(
    (method) => typeof (value as Record<string, unknown>)[method] === 'function',
  );
}
