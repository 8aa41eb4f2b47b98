import {
  checkOptions,
  flag,
  integerBetween,
  listOf,
  milliseconds,
  object,
  oneOf,
  recordOf,
  required,
  text,
  type Check,
  type LogLevel,
} from '../../backend/index.js';
import { assertName, DiscoveryError } from '../../model/index.js';
import { checkConfigKey } from './client/config/model.js';
import { checkServiceName, DEFAULT_CLUSTER, DEFAULT_GROUP } from './client/naming/model.js';
import { clientChecks, settingsOf, type NacosClientOptions, type NacosClientSettings } from './client/options.js';

/** A configuration document of {@link NacosConfigOptions}. */
export interface NacosDocument {
  readonly dataId: string;
  /** @default the group of the configuration */
  readonly group?: string;
}

/** What an app reads as its configuration. */
export interface NacosConfigOptions {
  /** Group of the documents. @default 'DEFAULT_GROUP' */
  readonly group?: string;
  /** Ending of the layers' data ids, without the dot; says their format. @default 'yaml' */
  readonly fileExtension?: 'yaml' | 'yml' | 'json' | 'properties';
  /** Documents that many apps share; they lose against everything that follows. @default [] */
  readonly shared?: readonly NacosDocument[];
  /** Further documents of this app; they win over the shared ones and lose against its own. @default [] */
  readonly extensions?: readonly NacosDocument[];
}

/** Options of {@link nacos}. */
export interface NacosOptions extends NacosClientOptions {
  /** Unique within an app. @default 'nacos' */
  readonly name?: string;
  /** `grpc` for servers from 2.0 on, `http` for older ones and where only HTTP gets through. @default 'grpc' */
  readonly protocol?: 'grpc' | 'http';
  /** Group of services. A service named `OTHER_GROUP@@name` is in that group. @default 'DEFAULT_GROUP' */
  readonly group?: string;
  /** Cluster to register in. @default 'DEFAULT' */
  readonly cluster?: string;
  /** Only instances of these clusters are discovered. @default all */
  readonly clusters?: readonly string[];
  /** Register for as long as the app lives, or until it is deregistered. @default true */
  readonly ephemeral?: boolean;
  /** Register as enabled; instances that aren't are hidden from everybody. @default true */
  readonly enabled?: boolean;
  /** Put into the metadata of every registration, below the registration's own. @default {} */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly config?: NacosConfigOptions;
  /** HTTP: how often services are asked for, in milliseconds. @default 7000 */
  readonly pollMs?: number;
  /** HTTP: how often a registration is confirmed, in milliseconds. @default what the server asks for, 5000 at first */
  readonly beatMs?: number;
  /** HTTP: how long the server may hold a question for changed configuration, in milliseconds. @default 30000 */
  readonly pullingTimeoutMs?: number;
  /** HTTP: how many configuration items are asked for in one question. @default 3000 */
  readonly pullingConfigSize?: number;
  /** HTTP: proxy of each scheme. */
  readonly proxies?: Readonly<Partial<Record<'http' | 'https', string>>>;
}

/** Options of a backend after defaults and checks. */
export interface NacosSettings {
  readonly name: string;
  readonly protocol: 'grpc' | 'http';
  readonly client: NacosClientSettings;
  readonly group: string;
  readonly cluster: string;
  readonly clusters: readonly string[];
  readonly ephemeral: boolean;
  readonly enabled: boolean;
  readonly metadata: Readonly<Record<string, string>>;
  readonly config: Required<NacosConfigOptions>;
  readonly pollMs: number;
  readonly beatMs: number | undefined;
  readonly pullingTimeoutMs: number;
  readonly pullingConfigSize: number;
  readonly proxies: Readonly<Partial<Record<'http' | 'https', string>>>;
  readonly logLevel: LogLevel | undefined;
}

const documents: Check = listOf(required(['dataId'], object({ dataId: text, group: text })));

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveNacosOptions(options: NacosOptions): NacosSettings {
  checkOptions('nacos()', options, {
    ...clientChecks,
    name: text,
    protocol: oneOf('grpc', 'http'),
    group: text,
    cluster: text,
    clusters: listOf(text),
    ephemeral: flag,
    enabled: flag,
    metadata: recordOf(text),
    config: object({
      group: text,
      fileExtension: oneOf('yaml', 'yml', 'json', 'properties'),
      shared: documents,
      extensions: documents,
    }),
    pollMs: milliseconds(50),
    beatMs: milliseconds(50),
    pullingTimeoutMs: milliseconds(1000),
    pullingConfigSize: integerBetween(1, 10_000),
    proxies: object({ http: text, https: text }),
  });
  const name = options.name ?? 'nacos';
  assertName(name, 'name');
  const group = options.group ?? DEFAULT_GROUP;
  checkServiceName({ serviceName: 'any', groupName: group });
  const cluster = options.cluster ?? DEFAULT_CLUSTER;
  for (const [field, value] of [
    ['cluster', cluster],
    ...(options.clusters ?? []).map((one) => ['clusters', one] as const),
  ] as const) {
    if (/^[0-9A-Za-z_-]{1,64}$/.test(value)) continue;
    throw new DiscoveryError('INVALID_OPTION', `nacos(): ${field} must be 1 to 64 letters, digits, _ and -`, { field });
  }
  const config = options.config ?? {};
  for (const document of [...(config.shared ?? []), ...(config.extensions ?? [])]) checkConfigKey(document, '');
  if (config.group !== undefined) checkConfigKey({ dataId: 'any', group: config.group }, '');
  return Object.freeze({
    name,
    protocol: options.protocol ?? 'grpc',
    client: settingsOf(options),
    group,
    cluster,
    clusters: options.clusters ?? [],
    ephemeral: options.ephemeral ?? true,
    enabled: options.enabled ?? true,
    metadata: options.metadata ?? {},
    config: {
      group: config.group ?? DEFAULT_GROUP,
      fileExtension: config.fileExtension ?? 'yaml',
      shared: config.shared ?? [],
      extensions: config.extensions ?? [],
    },
    pollMs: options.pollMs ?? 7000,
    beatMs: options.beatMs,
    pullingTimeoutMs: options.pullingTimeoutMs ?? 30_000,
    pullingConfigSize: options.pullingConfigSize ?? 3000,
    proxies: options.proxies ?? {},
    logLevel: options.logLevel,
  });
}
