import {
  conceal,
  checked,
  either,
  integerBetween,
  LOG_LEVELS,
  milliseconds,
  numberBetween,
  oneOf,
  recordOf,
  renamed,
  required,
  silentLogger,
  systemClock,
  text,
  tlsCheck,
  withEnvironment,
  withLevel,
  anything,
  type Check,
  type Clock,
  type Logger,
  type LogLevel,
  type Resolved,
  type TlsOptions,
} from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { parseAddress, type ConsulAddress } from './address.js';
import { CONSUL_ENVIRONMENT } from './environment.js';
import { secretOf, type Consistency, type TokenLike } from './values.js';

/** How a client connects; the same for {@link ConsulClient} and for the backend. */
export interface ConsulConnectionOptions {
  /**
   * The agent: `host`, `host:port`, a URL, or a unix socket as `unix:///path` or `/path`. It should be the agent of this
   * machine: what is registered at one agent can be taken back there only.
   * @default '127.0.0.1:8500'; without a port 8500, or 8501 for https
   */
  readonly address?: string;
  /** The token that requests carry, in a header. */
  readonly token?: TokenLike;
  /** A file with the token, which is read again when it was replaced. Not together with `token`. */
  readonly tokenFile?: string;
  /** How to speak TLS, to an `https` address. */
  readonly tls?: TlsOptions;
  /** Datacentre to ask. @default the agent's */
  readonly datacenter?: string;
  /** Consul Enterprise only. */
  readonly namespace?: string;
  /** Consul Enterprise only. */
  readonly partition?: string;
  /** How current reads must be. @default 'default' */
  readonly consistency?: Consistency;
  /** How long to wait for an answer, beyond what the server was asked to wait, in milliseconds. @default 10000 */
  readonly requestTimeoutMs?: number;
  /** Connections for all requests that don't wait at the server. @default 10 */
  readonly maxRequestConnections?: number;
  /**
   * Connections for watches, one of which each blocking query holds. With more watches than that they take turns, and a
   * change may show up to about ten seconds late. Agents refuse more than 200 connections from one address.
   * @default 100
   */
  readonly maxWatchConnections?: number;
  /** Longest answer that is read, in bytes. @default 67108864 (64 MiB) */
  readonly maxResponseBytes?: number;
}

/** Options of a {@link ConsulClient}. */
export interface ConsulClientOptions extends ConsulConnectionOptions {
  /** How long a blocking query waits when it doesn't say, in milliseconds. @default 55000 */
  readonly waitMs?: number;
  /** Most operations in a transaction: 128 since Consul 1.14, 64 before. @default 128 */
  readonly transactionLimit?: number;
  /** @default none */
  readonly logger?: Logger;
  /** @default 'warn' */
  readonly logLevel?: LogLevel;
  /** Time; for tests. */
  readonly clock?: Clock;
}

/** The secret, or a token as the servers tell it. */
const token: Check = either('a text, or an object with SecretID', text, required(['SecretID'], recordOf(anything)));

/** The checks of {@link ConsulConnectionOptions}. */
export const CONNECTION_CHECKS: Readonly<Record<string, Check>> = {
  address: text,
  token,
  tokenFile: text,
  tls: tlsCheck(),
  datacenter: text,
  namespace: text,
  partition: text,
  consistency: oneOf('default', 'consistent', 'stale'),
  requestTimeoutMs: milliseconds(1),
  timeoutMs: renamed('requestTimeoutMs'),
  maxRequestConnections: integerBetween(1, 10_000),
  maxWatchConnections: integerBetween(1, 10_000),
  maxResponseBytes: numberBetween(1024, 2 ** 31),
};

/** The defaults of {@link ConsulConnectionOptions}. */
export const CONNECTION_DEFAULTS = {
  address: '127.0.0.1',
  tls: {},
  consistency: 'default',
  requestTimeoutMs: 10_000,
  maxRequestConnections: 10,
  maxWatchConnections: 100,
  maxResponseBytes: 64 * 2 ** 20,
} satisfies ConsulConnectionOptions;

type ConnectionWithDefaults = Resolved<ConsulConnectionOptions, typeof CONNECTION_DEFAULTS>;

/** Options of a connection after defaults and checks. */
export interface ClientSettings extends Omit<ConnectionWithDefaults, 'address' | 'token'> {
  readonly address: ConsulAddress;
  readonly token: string | undefined;
}

/** Reads what client and backend have in common; the types have been checked. */
export function resolveConnection(what: string, options: ConnectionWithDefaults): ClientSettings {
  if (options.token !== undefined && options.tokenFile !== undefined) {
    throw new DiscoveryError('INVALID_OPTION', `${what}: tokenFile must not be given together with token`, {
      field: 'tokenFile',
    });
  }
  // Of the connection only: a backend's options hold much besides.
  const own = Object.entries(options).filter(([key]) => Object.hasOwn(CONNECTION_CHECKS, key));
  return conceal({
    ...(Object.fromEntries(own) as unknown as ConnectionWithDefaults),
    address: parseAddress(options.address),
    token: options.token === undefined ? undefined : secretOf(options.token),
  });
}

const CLIENT_CHECKS = {
  ...CONNECTION_CHECKS,
  waitMs: milliseconds(1),
  transactionLimit: integerBetween(1, 1024),
  logger: anything,
  logLevel: oneOf(...LOG_LEVELS),
  clock: anything,
};

const CLIENT_DEFAULTS = {
  ...CONNECTION_DEFAULTS,
  waitMs: 55_000,
  transactionLimit: 128,
  logger: silentLogger,
  logLevel: 'warn',
  clock: systemClock,
} satisfies ConsulClientOptions;

/** A client's own settings beside those of its connection. */
export type ResolvedClientOptions = ClientSettings &
  Pick<Resolved<ConsulClientOptions, typeof CLIENT_DEFAULTS>, 'waitMs' | 'transactionLimit' | 'logger' | 'clock'>;

/**
 * Checks the options of a client.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function resolveClientOptions(given: string | ConsulClientOptions): ResolvedClientOptions {
  const what = 'new ConsulClient()';
  const options = typeof given === 'string' ? { address: given } : given;
  return withEnvironment<ConsulClientOptions, ResolvedClientOptions>(options, CONSUL_ENVIRONMENT, (filled) =>
    resolved(what, filled),
  );
}

function resolved(what: string, options: ConsulClientOptions): ResolvedClientOptions {
  const settings = checked<ConsulClientOptions, typeof CLIENT_DEFAULTS>(what, options, CLIENT_CHECKS, CLIENT_DEFAULTS);
  const logger = withLevel(settings.logger, settings.logLevel);
  return conceal({ ...settings, ...resolveConnection(what, settings), logger });
}
