import {
  conceal,
  checked,
  flag,
  integerBetween,
  listOf,
  milliseconds,
  object,
  oneOf,
  recordOf,
  required,
  text,
  withDefaults,
  withEnvironment,
  type Check,
  type EnvironmentOptions,
  type Resolved,
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
  readonly fileExtension?: 'yaml' | 'yml' | 'json' | 'toml' | 'properties';
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
  /** Which documents are the configuration. */
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

/** The variables of Nacos' own images and of Spring Cloud Alibaba. */
const ENVIRONMENT: EnvironmentOptions<NacosOptions> = {
  serverAddresses: { variables: ['NACOS_SERVER_ADDR', 'SPRING_CLOUD_NACOS_SERVER_ADDR'], unless: ['endpoint'] },
  namespace: { variables: ['NACOS_NAMESPACE'] },
  username: { variables: ['NACOS_USERNAME'], unless: ['accessKey', 'secretKey', 'credentialsProvider'] },
  password: { variables: ['NACOS_PASSWORD'], unless: ['accessKey', 'secretKey', 'credentialsProvider'] },
};

const documents: Check = listOf(required(['dataId'], object({ dataId: text, group: text })));

const CHECKS: Readonly<Record<string, Check>> = {
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
    fileExtension: oneOf('yaml', 'yml', 'json', 'toml', 'properties'),
    shared: documents,
    extensions: documents,
  }),
  pollMs: milliseconds(50),
  beatMs: milliseconds(50),
  pullingTimeoutMs: milliseconds(1000),
  pullingConfigSize: integerBetween(1, 10_000),
  proxies: object({ http: text, https: text }),
};

const DEFAULTS = {
  name: 'nacos',
  protocol: 'grpc',
  group: DEFAULT_GROUP,
  cluster: DEFAULT_CLUSTER,
  clusters: [],
  ephemeral: true,
  enabled: true,
  metadata: {},
  config: {},
  pollMs: 7000,
  pullingTimeoutMs: 30_000,
  pullingConfigSize: 3000,
  proxies: {},
} satisfies NacosOptions;

const CONFIG_DEFAULTS: Required<NacosConfigOptions> = {
  group: DEFAULT_GROUP,
  fileExtension: 'yaml',
  shared: [],
  extensions: [],
};

/** Options of a backend after defaults and checks; those of the client are apart. */
export interface NacosSettings extends Omit<
  Resolved<NacosOptions, typeof DEFAULTS>,
  Exclude<keyof NacosClientOptions, 'logLevel'> | 'config'
> {
  readonly client: NacosClientSettings;
  readonly config: Required<NacosConfigOptions>;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveNacosOptions(options: NacosOptions): NacosSettings {
  return withEnvironment(options, ENVIRONMENT, resolved);
}

function resolved(options: NacosOptions): NacosSettings {
  const given = checked('nacos()', options, CHECKS, DEFAULTS);
  const { name, group, cluster, clusters } = given;
  assertName(name, 'name');
  checkServiceName({ serviceName: 'any', groupName: group });
  for (const [field, value] of [['cluster', cluster], ...clusters.map((one) => ['clusters', one] as const)] as const) {
    if (/^[0-9A-Za-z_-]{1,64}$/.test(value)) continue;
    throw new DiscoveryError('INVALID_OPTION', `nacos(): ${field} must be 1 to 64 letters, digits, _ and -`, { field });
  }
  const config = withDefaults(given.config, CONFIG_DEFAULTS);
  for (const document of [...config.shared, ...config.extensions]) checkConfigKey(document, '');
  checkConfigKey({ dataId: 'any', group: config.group }, '');
  return Object.freeze(conceal({ ...given, client: settingsOf(options), config }));
}
