import { resolve } from 'node:path';
import {
  conceal,
  checkOptions,
  flag,
  integerBetween,
  milliseconds,
  object,
  renamed,
  text,
  withDefaults,
  type Check,
} from '../../../../backend/index.js';
import { clientChecks, settingsOf, type NacosClientOptions, type NacosClientSettings } from '../options.js';

/** Options of {@link NacosHttpClient} that may be changed after it was made. */
export interface NacosHttpTunables {
  /** A request that takes longer has failed, in milliseconds. @default 3000 */
  readonly requestTimeoutMs?: number;
  /** How long the server may hold a question for changes, in milliseconds. @default 30000 */
  readonly pullingTimeoutMs?: number;
  /** How many items are asked for in one question. @default 3000 */
  readonly pullingConfigSize?: number;
  /** How many watchers are called at the same time. @default 10 */
  readonly callbackConcurrency?: number;
  /** Folder where an operator puts contents that go before the server's. @default './nacos-data/data' */
  readonly failoverBase?: string;
  /** Folder of the snapshots. @default './nacos-data/snapshot' */
  readonly snapshotBase?: string;
  /** Neither write nor read snapshots. @default false */
  readonly noSnapshot?: boolean;
  /** Proxy of each scheme: `{ http: '10.0.0.1:3128' }`. @default none */
  readonly proxies?: Readonly<Partial<Record<'http' | 'https', string>>>;
}

/** Options of {@link NacosHttpClient}. */
export interface NacosHttpClientOptions
  extends
    NacosHttpTunables,
    Pick<
      NacosClientOptions,
      | 'serverAddresses'
      | 'endpoint'
      | 'endpointRefreshMs'
      | 'namespace'
      | 'contextPath'
      | 'username'
      | 'password'
      | 'accessKey'
      | 'secretKey'
      | 'credentialsProvider'
      | 'signatureRegion'
      | 'appName'
      | 'tls'
      | 'configFilter'
      | 'logger'
      | 'logLevel'
    > {}

/** The tunable options with their defaults. */
export type NacosHttpTuning = Required<NacosHttpTunables>;

const DEFAULTS: NacosHttpTuning = {
  requestTimeoutMs: 3000,
  pullingTimeoutMs: 30_000,
  pullingConfigSize: 3000,
  callbackConcurrency: 10,
  failoverBase: 'nacos-data/data',
  snapshotBase: 'nacos-data/snapshot',
  noSnapshot: false,
  proxies: {},
};

const tunables: Readonly<Record<keyof NacosHttpTunables | 'defaultTimeoutMs', Check>> = {
  defaultTimeoutMs: renamed('requestTimeoutMs'),
  requestTimeoutMs: milliseconds(10),
  pullingTimeoutMs: milliseconds(1000),
  pullingConfigSize: integerBetween(1, 10_000),
  callbackConcurrency: integerBetween(1, 10_000),
  failoverBase: text,
  snapshotBase: text,
  noSnapshot: flag,
  proxies: object({ http: text, https: text }),
};

const NOT_HERE = [
  'healthCheckMs',
  'grpc',
  'labels',
  'cacheDirectory',
  'loadCacheAtStart',
  'emptyPushProtection',
  'serviceRefreshMs',
  'configRefreshMs',
] as const;

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function resolveHttpOptions(options: NacosHttpClientOptions): {
  readonly settings: NacosClientSettings;
  readonly tuning: NacosHttpTuning;
} {
  const checks = Object.fromEntries(
    Object.entries(clientChecks).filter(([key]) => !NOT_HERE.some((other) => other === key)),
  );
  checkOptions('NacosHttpClient', options, { ...checks, ...tunables });
  return { settings: settingsOf(options), tuning: tune(DEFAULTS, options) };
}

/**
 * Checks changes of the tunable options and applies them.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field; nothing is changed then
 */
export function retune(current: NacosHttpTuning, changes: NacosHttpTunables): NacosHttpTuning {
  checkOptions('setOptions()', changes, tunables);
  return tune(current, changes);
}

function tune(current: NacosHttpTuning, changes: NacosHttpTunables): NacosHttpTuning {
  const { failoverBase, snapshotBase, ...rest } = withDefaults<NacosHttpTunables, NacosHttpTuning>(changes, current);
  return conceal({ ...rest, failoverBase: resolve(failoverBase), snapshotBase: resolve(snapshotBase) });
}
