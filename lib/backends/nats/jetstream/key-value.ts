import { abandonOnAbort, SingleFlight, type Clock } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { isNoResponders } from '../connection/errors.js';
import { parseHeaderBlock, toEncodable, toHeaders, type NatsHeadersInput } from '../connection/headers.js';
import {
  asUnavailable,
  isJetStreamError,
  isObject,
  JS_ERROR,
  readAnswer,
  type ApiObject,
  type JetStreamApi,
} from './api.js';
import { streamConfig, type KeyValueBucketOptions } from './bucket-options.js';
import { assertBucket, assertKey, keyOfSubject, operationOf, type KeyValueEntry } from './key-value.codec.js';

/** What a write may be told. */
export interface KeyValueWriteOptions {
  /** Only when the key's newest revision is this one (0: there is none); else `CONFIG_CONFLICT`. */
  readonly ifRevision?: number;
  readonly headers?: NatsHeadersInput;
  /** Milliseconds after which the server forgets the value, at least 1000; needs 2.11 and a bucket with markers. */
  readonly ttlMs?: number;
  readonly signal?: AbortSignal;
}

/** What the server says of a bucket. */
export interface KeyValueStatus {
  readonly bucket: string;
  /** Messages in the stream: revisions and markers, not keys. */
  readonly values: number;
  readonly bytes: number;
  readonly history: number;
  /** Milliseconds; 0: values don't expire. */
  readonly ttlMs: number;
  /** True when those who watch are told of what expired. */
  readonly markers: boolean;
  readonly replicas: number;
  readonly storage: string;
  /** When the bucket was made, as the server writes it. */
  readonly created: string;
  readonly lastRevision: number;
}

/** A key-value bucket of JetStream, by its wire protocol. */
export class KeyValueBucket {
  private readonly opening = new SingleFlight<KeyValueStatus>();
  private known: KeyValueStatus | undefined;

  constructor(
    readonly api: JetStreamApi,
    readonly bucket: string,
    private readonly options: KeyValueBucketOptions,
    readonly clock: Clock,
  ) {
    assertBucket(bucket, 'bucket');
  }

  /**
   * What the bucket is like; it is made when it doesn't exist. Asked once, until `forget`.
   * @throws JetStreamError; DiscoveryError `BACKEND_UNAVAILABLE`
   */
  open(signal?: AbortSignal): Promise<KeyValueStatus> {
    if (this.known !== undefined) return Promise.resolve(this.known);
    // Nobody's signal: others wait for the same answer.
    const opening = this.opening.run('open', async () => {
      this.known = await this.findOrCreate();
      return this.known;
    });
    return abandonOnAbort(opening, signal, `opening the bucket ${this.bucket}`);
  }

  /** Asks anew with the next use: the server may be another, the bucket gone. */
  forget(): void {
    this.known = undefined;
  }

  /** What the bucket is like now. @throws JetStreamError with 10059 when it doesn't exist */
  async status(signal?: AbortSignal): Promise<KeyValueStatus> {
    return this.readStatus(await this.api.request(`STREAM.INFO.KV_${this.bucket}`, undefined, signal));
  }

  /** Removes the bucket with everything in it; false when there was none. */
  async destroy(signal?: AbortSignal): Promise<boolean> {
    this.forget();
    try {
      await this.api.request(`STREAM.DELETE.KV_${this.bucket}`, undefined, signal);
      return true;
    } catch (error) {
      if (isJetStreamError(error, JS_ERROR.streamNotFound)) return false;
      throw error;
    }
  }

  /**
   * The newest revision of a key, from the bucket's leader: what was written before is there. Deletions are entries too;
   * undefined when there is nothing at all.
   */
  async get(key: string, signal?: AbortSignal): Promise<KeyValueEntry | undefined> {
    assertKey(key);
    return this.withBucket(async () => {
      try {
        const answer = await this.api.request(
          `STREAM.MSG.GET.KV_${this.bucket}`,
          { last_by_subj: `$KV.${this.bucket}.${key}` },
          signal,
        );
        return readStored(this.bucket, answer['message']);
      } catch (error) {
        if (isJetStreamError(error, JS_ERROR.messageNotFound)) return undefined;
        throw error;
      }
    }, signal);
  }

  /** Writes a value whatever was there. Resolves with its revision. */
  put(key: string, value: Uint8Array, options: KeyValueWriteOptions = {}): Promise<number> {
    return this.write(key, value, {}, options);
  }

  /**
   * Writes a value only when there is none, or a deletion.
   * @throws DiscoveryError `CONFIG_CONFLICT` otherwise
   */
  async create(
    key: string,
    value: Uint8Array,
    options: Omit<KeyValueWriteOptions, 'ifRevision'> = {},
  ): Promise<number> {
    try {
      return await this.write(key, value, {}, { ...options, ifRevision: 0 });
    } catch (error) {
      if (!(error instanceof DiscoveryError) || error.code !== 'CONFIG_CONFLICT') throw error;
      const present = await this.get(key, options.signal);
      if (present !== undefined && present.operation === 'PUT') throw error;
      return this.write(key, value, {}, { ...options, ifRevision: present?.revision ?? 0 });
    }
  }

  /** Writes a value only when `revision` is the newest. @throws DiscoveryError `CONFIG_CONFLICT` otherwise */
  update(
    key: string,
    value: Uint8Array,
    revision: number,
    options: Omit<KeyValueWriteOptions, 'ifRevision'> = {},
  ): Promise<number> {
    return this.write(key, value, {}, { ...options, ifRevision: revision });
  }

  /** Marks a key as deleted; its history stays. */
  delete(key: string, options: KeyValueWriteOptions = {}): Promise<number> {
    return this.write(key, undefined, { 'KV-Operation': 'DEL' }, options);
  }

  /** Marks a key as deleted and drops its history. */
  purge(key: string, options: KeyValueWriteOptions = {}): Promise<number> {
    return this.write(key, undefined, { 'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub' }, options);
  }

  /** Runs `operation`; when the bucket turns out to be gone it is made again, and `operation` repeated once. */
  async withBucket<T>(operation: (status: KeyValueStatus) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const status = await this.open(signal);
    try {
      return await operation(status);
    } catch (error) {
      if (!isJetStreamError(error, JS_ERROR.streamNotFound) && !isNoResponders(error)) throw error;
      this.forget();
      return operation(await this.open(signal));
    }
  }

  private async write(
    key: string,
    value: Uint8Array | undefined,
    operation: Readonly<Record<string, string>>,
    options: KeyValueWriteOptions,
  ): Promise<number> {
    assertKey(key);
    const { ifRevision, ttlMs, signal } = options;
    const subject = `$KV.${this.bucket}.${key}`;
    try {
      return await this.withBucket(async ({ markers }) => {
        const headers = new Map(toHeaders(options.headers));
        for (const [name, text] of Object.entries(operation)) headers.set(name, [text]);
        if (ifRevision !== undefined) headers.set('Nats-Expected-Last-Subject-Sequence', [String(ifRevision)]);
        if (ttlMs !== undefined && markers) headers.set('Nats-TTL', [`${Math.max(1, Math.ceil(ttlMs / 1000))}s`]);
        const answer = await this.api.session.request(subject, value, { headers: toEncodable(headers), signal });
        return readSequence(readAnswer(answer.data, subject), subject);
      }, signal);
    } catch (error) {
      if (isJetStreamError(error, JS_ERROR.wrongLastSequence)) {
        throw new DiscoveryError(
          'CONFIG_CONFLICT',
          `${key} in ${this.bucket} has changed meanwhile: ${error.message}`,
          {
            cause: error,
          },
        );
      }
      throw asUnavailable(error, subject);
    }
  }

  private async findOrCreate(): Promise<KeyValueStatus> {
    try {
      return await this.status();
    } catch (error) {
      if (!isJetStreamError(error, JS_ERROR.streamNotFound)) throw error;
      if (this.options.create === false) {
        throw new DiscoveryError(
          'BACKEND_REFUSED',
          `there is no key-value bucket '${this.bucket}', and create is false: make it (nats kv add ${this.bucket})`,
          { cause: error },
        );
      }
    }
    const level = await this.api.apiLevel();
    try {
      const config = streamConfig(this.bucket, this.options, level);
      return this.readStatus(await this.api.request(`STREAM.CREATE.KV_${this.bucket}`, config));
    } catch (error) {
      // Somebody else made it at the same moment, in another way.
      if (isJetStreamError(error, JS_ERROR.streamExistsOtherwise)) return this.status();
      throw error;
    }
  }

  private readStatus(answer: ApiObject): KeyValueStatus {
    const config = isObject(answer['config']) ? answer['config'] : {};
    const state = isObject(answer['state']) ? answer['state'] : {};
    const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
    return Object.freeze({
      bucket: this.bucket,
      values: number(state['messages']),
      bytes: number(state['bytes']),
      history: number(config['max_msgs_per_subject']),
      ttlMs: number(config['max_age']) / 1e6,
      markers: config['allow_msg_ttl'] === true && number(config['subject_delete_marker_ttl']) > 0,
      replicas: number(config['num_replicas']),
      storage: textOf(config['storage']),
      created: textOf(answer['created']),
      lastRevision: number(state['last_seq']),
    });
  }
}

function readSequence(answer: ApiObject, subject: string): number {
  const { seq } = answer;
  if (typeof seq === 'number' && seq > 0) return seq;
  throw new DiscoveryError('BACKEND_REFUSED', `what answered on ${subject} is no JetStream: it gave no sequence`);
}

/** A message as `STREAM.MSG.GET` gives it. */
function readStored(bucket: string, message: unknown): KeyValueEntry | undefined {
  if (!isObject(message)) return undefined;
  const { subject, seq, data, hdrs, time } = message;
  const key = typeof subject === 'string' ? keyOfSubject(bucket, subject) : undefined;
  if (key === undefined || typeof seq !== 'number') return undefined;
  const bytes = (text: unknown): Uint8Array =>
    typeof text === 'string' ? Buffer.from(text, 'base64') : new Uint8Array();
  const headers = parseHeaderBlock(bytes(hdrs));
  return Object.freeze({
    bucket,
    key,
    value: bytes(data),
    revision: seq,
    at: typeof time === 'string' ? Date.parse(time) : 0,
    operation: operationOf(headers),
    headers,
  });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
