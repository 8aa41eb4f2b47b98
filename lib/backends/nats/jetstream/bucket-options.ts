import { flag, integerBetween, milliseconds, oneOf, text, type Check } from '../../../backend/index.js';
import { defined } from '../../../model/index.js';

/** How a key-value bucket is made when it doesn't exist. An existing one is used as it is. */
export interface KeyValueBucketOptions {
  /** Make the bucket when it doesn't exist; false: that is an error. @default true */
  readonly create?: boolean;
  /** Revisions that are kept of each key, 1 to 64. @default 1 */
  readonly history?: number;
  /** Milliseconds after which a value is forgotten; 0: never. @default 0 */
  readonly ttlMs?: number;
  /**
   * Milliseconds for which a marker is kept of a value that expired, so that those who watch are told (2.11 and newer;
   * older servers forget in silence). At least 1000; 0: none. @default 0
   */
  readonly markerMs?: number;
  /** @default 'file' */
  readonly storage?: 'file' | 'memory';
  /** Copies in a cluster, 1 to 5. @default 1 */
  readonly replicas?: number;
  /** Limit of the whole bucket in bytes; writes beyond it are refused. @default none */
  readonly maxBytes?: number;
  /** Limit of one value in bytes. @default none */
  readonly maxValueBytes?: number;
  readonly description?: string;
  /** Compress on the server (2.10 and newer). @default false */
  readonly compression?: boolean;
}

/** The fields of {@link KeyValueBucketOptions}, for `checkOptions`. */
export const BUCKET_OPTIONS: Readonly<Record<keyof KeyValueBucketOptions, Check>> = {
  create: flag,
  history: integerBetween(1, 64),
  ttlMs: milliseconds(0),
  markerMs: milliseconds(0),
  storage: oneOf('file', 'memory'),
  replicas: integerBetween(1, 5),
  maxBytes: integerBetween(1, Number.MAX_SAFE_INTEGER),
  maxValueBytes: integerBetween(1, 2 ** 31 - 1),
  description: text,
  compression: flag,
};

const NANOSECONDS = 1e6;

/** The stream behind a bucket, as `STREAM.CREATE` takes it. `level`: what the server can do. */
export function streamConfig(bucket: string, options: KeyValueBucketOptions, level: number): Record<string, unknown> {
  const markers = level >= 1 && (options.markerMs ?? 0) > 0;
  const ttl = (options.ttlMs ?? 0) * NANOSECONDS;
  return {
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    retention: 'limits',
    max_consumers: -1,
    max_msgs: -1,
    max_msgs_per_subject: options.history ?? 1,
    max_bytes: options.maxBytes ?? -1,
    max_msg_size: options.maxValueBytes ?? -1,
    max_age: ttl,
    storage: options.storage ?? 'file',
    discard: 'new',
    num_replicas: options.replicas ?? 1,
    // Duplicates are looked for within this time, which may not exceed the values' own.
    duplicate_window: ttl > 0 ? Math.min(ttl, 120_000 * NANOSECONDS) : 120_000 * NANOSECONDS,
    allow_rollup_hdrs: true,
    allow_direct: true,
    deny_delete: true,
    ...defined({ description: options.description }),
    ...(options.compression === true ? { compression: 's2' } : {}),
    ...(markers
      ? {
          allow_msg_ttl: true,
          subject_delete_marker_ttl: Math.max(options.markerMs ?? 0, 1000) * NANOSECONDS,
        }
      : {}),
  };
}
