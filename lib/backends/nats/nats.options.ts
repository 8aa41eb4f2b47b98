import {
  checked,
  either,
  integerBetween,
  literal,
  milliseconds,
  object,
  oneOf,
  text,
  withDefaults,
  withEnvironment,
  type Check,
  type EnvironmentOptions,
  type Resolved,
} from '../../backend/index.js';
import { assertName, DiscoveryError } from '../../model/index.js';
import {
  CONNECTION_OPTIONS,
  resolveConnectionOptions,
  type ConnectionSettings,
  type NatsConnectionOptions,
} from './connection/connection-options.js';
import { BUCKET_OPTIONS, type KeyValueBucketOptions } from './jetstream/bucket-options.js';
import { assertBucket } from './jetstream/key-value.codec.js';
import { assertPrefix, DEFAULT_API_PREFIX } from './service/names.js';

/** Asking the micro services of a name, again and again. */
export interface NatsRoundsOptions {
  /** Milliseconds from the end of a round to the next. @default 5000 */
  readonly intervalMs?: number;
  /** Rounds in a row in which an instance didn't answer, after which it is gone. @default 3 */
  readonly tolerance?: number;
  /** Longest wait for answers in one round, in milliseconds. @default 2000 */
  readonly maxWaitMs?: number;
  /** Longest wait for the next answer after the first, in milliseconds. @default 300 */
  readonly stallMs?: number;
}

/** How instances make themselves known. */
export interface NatsPresenceOptions {
  /**
   * - `key-value`: a JetStream bucket holds a record of each instance, which the server forgets unless it is renewed;
   * - `services`: each instance is a micro service that answers `$SRV.INFO`; needs no JetStream.
   * @default 'key-value'
   */
  readonly mode?: 'key-value' | 'services';
  /** Name of the bucket. @default 'service-presence' */
  readonly bucket?: string;
  /** Milliseconds without a renewal after which an instance is gone; it is renewed three times in this time. @default 15000 */
  readonly leaseMs?: number;
  /** How the bucket is made when it doesn't exist; its `ttlMs` is the lease's. */
  readonly create?: Pick<KeyValueBucketOptions, 'storage' | 'replicas'> | false;
}

/** Where configuration is kept. */
export interface NatsConfigOptions {
  /** Name of the bucket. @default 'service-config' */
  readonly bucket?: string;
  /** How the bucket is made when it doesn't exist; false: that is an error. @default history 10 */
  readonly create?:
    Pick<KeyValueBucketOptions, 'history' | 'storage' | 'replicas' | 'maxBytes' | 'compression'> | false;
}

/** Options of `nats()`. */
export interface NatsOptions extends NatsConnectionOptions {
  /** Unique within an app. @default 'nats' */
  readonly name?: string;
  readonly presence?: NatsPresenceOptions;
  /**
   * Also find micro services that say in their metadata where they answer HTTP (`http.url`), by asking in rounds; false:
   * only what registers through this library. With `presence.mode: 'services'` they can't be switched off.
   */
  readonly rounds?: NatsRoundsOptions | false;
  readonly config?: NatsConfigOptions;
  /** Root of the control subjects of micro services. @default '$SRV' */
  readonly apiPrefix?: string;
  /** Prefix of the JetStream API; for a domain `$JS.<domain>.API`. @default '$JS.API' */
  readonly jetStreamPrefix?: string;
  /** Milliseconds between the server's signs of life in watches. @default 2000 */
  readonly heartbeatMs?: number;
}

const { history, storage, replicas, maxBytes, compression } = BUCKET_OPTIONS;
const falseOr = (fields: Readonly<Record<string, Check>>): Check =>
  either('an object or false', literal(false), object(fields));

const CHECKS = {
  ...CONNECTION_OPTIONS,
  name: text,
  presence: object({
    mode: oneOf('key-value', 'services'),
    bucket: text,
    leaseMs: milliseconds(1000),
    create: falseOr({ storage, replicas }),
  }),
  rounds: falseOr({
    intervalMs: milliseconds(10),
    tolerance: integerBetween(1, 1000),
    maxWaitMs: milliseconds(1),
    stallMs: milliseconds(1),
  }),
  config: object({ bucket: text, create: falseOr({ history, storage, replicas, maxBytes, compression }) }),
  apiPrefix: text,
  jetStreamPrefix: text,
  heartbeatMs: milliseconds(100),
};

const DEFAULTS = {
  name: 'nats',
  presence: {},
  rounds: {},
  config: {},
  apiPrefix: DEFAULT_API_PREFIX,
  jetStreamPrefix: '$JS.API',
  heartbeatMs: 2000,
} satisfies NatsOptions;

const OTHER_WAYS = ['connection', 'token', 'nkeySeed', 'credentials'];

/** The variables of NATS' own tool. */
const ENVIRONMENT: EnvironmentOptions<NatsOptions> = {
  servers: { variables: ['NATS_URL'], unless: ['connection'] },
  username: { variables: ['NATS_USER'], unless: OTHER_WAYS },
  password: { variables: ['NATS_PASSWORD'], unless: OTHER_WAYS },
};

const PRESENCE_DEFAULTS = {
  mode: 'key-value',
  bucket: 'service-presence',
  leaseMs: 15_000,
} satisfies NatsPresenceOptions;

const ROUNDS_DEFAULTS: Required<NatsRoundsOptions> = { intervalMs: 5000, tolerance: 3, maxWaitMs: 2000, stallMs: 300 };

/** The options with their defaults. */
export interface NatsSettings extends Pick<
  Resolved<NatsOptions, typeof DEFAULTS>,
  'name' | 'apiPrefix' | 'jetStreamPrefix' | 'heartbeatMs'
> {
  readonly connection: ConnectionSettings;
  readonly presence: Pick<Resolved<NatsPresenceOptions, typeof PRESENCE_DEFAULTS>, 'mode' | 'bucket' | 'leaseMs'> & {
    readonly bucketOptions: KeyValueBucketOptions;
  };
  readonly rounds: Required<NatsRoundsOptions> | undefined;
  readonly config: { readonly bucket: string; readonly bucketOptions: KeyValueBucketOptions };
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveNatsOptions(options: NatsOptions): NatsSettings {
  return withEnvironment(options, ENVIRONMENT, resolved);
}

function resolved(options: NatsOptions): NatsSettings {
  const given = checked('nats()', options, CHECKS, DEFAULTS);
  const { name, rounds, config, apiPrefix, jetStreamPrefix, heartbeatMs } = given;
  const { mode, bucket, leaseMs, create } = withDefaults<NatsPresenceOptions, typeof PRESENCE_DEFAULTS>(
    given.presence,
    PRESENCE_DEFAULTS,
  );
  const configBucket = config.bucket ?? 'service-config';
  const refuse = (field: string, problem: string): DiscoveryError =>
    new DiscoveryError('INVALID_OPTION', `nats(): ${field} ${problem}`, { field });
  assertName(name, 'name');
  if (mode === 'services' && rounds === false) {
    throw refuse('rounds', "can't be false with presence.mode 'services'");
  }
  assertBucket(bucket, 'presence.bucket');
  assertBucket(configBucket, 'config.bucket');
  if (bucket === configBucket) throw refuse('config.bucket', 'must differ from presence.bucket');
  assertPrefix(apiPrefix, 'apiPrefix');
  assertPrefix(jetStreamPrefix, 'jetStreamPrefix');
  return Object.freeze({
    ...{ name, apiPrefix, jetStreamPrefix, heartbeatMs },
    connection: resolveConnectionOptions('nats()', options),
    presence: {
      ...{ mode, bucket, leaseMs },
      bucketOptions:
        create === false
          ? { create: false }
          : { ...create, history: 1, ttlMs: leaseMs, markerMs: Math.max(1000, leaseMs) },
    },
    rounds: rounds === false ? undefined : withDefaults(rounds, ROUNDS_DEFAULTS),
    config: {
      bucket: configBucket,
      bucketOptions: config.create === false ? { create: false } : { history: 10, ...config.create },
    },
  });
}
