import { checkOptions, either, flag, integerBetween, milliseconds, object, oneOf, text } from '../../backend/index.js';
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

/** The options with their defaults. */
export interface NatsSettings {
  readonly name: string;
  readonly connection: ConnectionSettings;
  readonly presence: {
    readonly mode: 'key-value' | 'services';
    readonly bucket: string;
    readonly leaseMs: number;
    readonly bucketOptions: KeyValueBucketOptions;
  };
  readonly rounds: Required<NatsRoundsOptions> | undefined;
  readonly config: { readonly bucket: string; readonly bucketOptions: KeyValueBucketOptions };
  readonly apiPrefix: string;
  readonly jetStreamPrefix: string;
  readonly heartbeatMs: number;
}

const { history, storage, replicas, maxBytes, compression } = BUCKET_OPTIONS;
const falseOr = (what: string, fields: object) => either(`${what} or false`, oneOfFalse, object({ ...fields }));

function oneOfFalse(value: unknown, path: string): void {
  flag(value, path);
  if (value === true) oneOf('false')(value, path);
}

const OPTIONS = {
  ...CONNECTION_OPTIONS,
  name: text,
  presence: object({
    mode: oneOf('key-value', 'services'),
    bucket: text,
    leaseMs: milliseconds(1000),
    create: falseOr('an object', { storage, replicas }),
  }),
  rounds: falseOr('an object', {
    intervalMs: milliseconds(10),
    tolerance: integerBetween(1, 1000),
    maxWaitMs: milliseconds(1),
    stallMs: milliseconds(1),
  }),
  config: object({ bucket: text, create: falseOr('an object', { history, storage, replicas, maxBytes, compression }) }),
  apiPrefix: text,
  jetStreamPrefix: text,
  heartbeatMs: milliseconds(100),
};

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveNatsOptions(options: NatsOptions): NatsSettings {
  checkOptions('nats()', options, OPTIONS);
  const name = options.name ?? 'nats';
  assertName(name, 'name');
  const { presence = {}, config = {}, rounds = {} } = options;
  const mode = presence.mode ?? 'key-value';
  if (mode === 'services' && rounds === false) {
    throw new DiscoveryError('INVALID_OPTION', "nats(): rounds can't be false with presence.mode 'services'", {
      field: 'rounds',
    });
  }
  const presenceBucket = presence.bucket ?? 'service-presence';
  const configBucket = config.bucket ?? 'service-config';
  assertBucket(presenceBucket, 'presence.bucket');
  assertBucket(configBucket, 'config.bucket');
  if (presenceBucket === configBucket) {
    throw new DiscoveryError('INVALID_OPTION', 'nats(): config.bucket must differ from presence.bucket', {
      field: 'config.bucket',
    });
  }
  const apiPrefix = options.apiPrefix ?? DEFAULT_API_PREFIX;
  const jetStreamPrefix = options.jetStreamPrefix ?? '$JS.API';
  assertPrefix(apiPrefix, 'apiPrefix');
  assertPrefix(jetStreamPrefix, 'jetStreamPrefix');
  const leaseMs = presence.leaseMs ?? 15_000;
  return Object.freeze({
    name,
    connection: resolveConnectionOptions('nats()', options),
    presence: {
      mode,
      bucket: presenceBucket,
      leaseMs,
      bucketOptions:
        presence.create === false
          ? { create: false }
          : { ...presence.create, history: 1, ttlMs: leaseMs, markerMs: Math.max(1000, leaseMs) },
    },
    rounds:
      rounds === false
        ? undefined
        : {
            intervalMs: rounds.intervalMs ?? 5000,
            tolerance: rounds.tolerance ?? 3,
            maxWaitMs: rounds.maxWaitMs ?? 2000,
            stallMs: rounds.stallMs ?? 300,
          },
    config: {
      bucket: configBucket,
      bucketOptions: config.create === false ? { create: false } : { history: 10, ...config.create },
    },
    apiPrefix,
    jetStreamPrefix,
    heartbeatMs: options.heartbeatMs ?? 2000,
  });
}
