import { decodeEntry, keepFlags, type KVEntry, type RawKVEntry } from './kv-entry.js';
import type { Answer } from './meta.js';
import type { ConsulCallOptions, ConsulRequests, ConsulResponse, ReadOptions } from './requests.js';
import { Transaction } from './transaction.js';
import { bytesOf, idOf, indexOf, keyPath, type ObjectId, type ObjectIndex, type Payload } from './values.js';

/** Options of writing an entry. */
export interface KVSetOptions extends ConsulCallOptions {
  readonly flags?: number | bigint;
}

/** The key/value store. */
export class KvApi {
  constructor(
    private readonly http: ConsulRequests,
    private readonly transactionLimit: number,
  ) {}

  /** An entry; undefined when there is none, with the meta to wait for it. */
  async get(key: string, options?: ReadOptions): Promise<Answer<KVEntry | undefined>> {
    const response = await this.http.request('GET', `/kv/${keyPath(key)}`, { ...options, accept: [404] });
    return response.with(entriesOf(response)[0]);
  }

  /** The bytes of an entry; undefined when there is none. */
  async raw(key: string, options?: ReadOptions): Promise<Answer<Buffer | undefined>> {
    const response = await this.http.request('GET', `/kv/${keyPath(key)}`, {
      ...options,
      query: { raw: true },
      accept: [404],
    });
    return response.with(response.status === 404 ? undefined : response.body);
  }

  /** The names of all keys that begin with a prefix; with a separator those below one are told as one. */
  async keys(
    prefix = '',
    { separator, ...options }: ReadOptions & { readonly separator?: string } = {},
  ): Promise<Answer<readonly string[]>> {
    const response = await this.http.request('GET', `/kv/${keyPath(prefix, 'prefix', true)}`, {
      ...options,
      query: { keys: true, separator },
      accept: [404],
    });
    return response.with(response.status === 404 ? [] : response.list<string>());
  }

  /** All entries whose keys begin with a prefix. A `separator` is sent, and servers ignore it here. */
  async getTree(
    prefix = '',
    { separator, ...options }: ReadOptions & { readonly separator?: string } = {},
  ): Promise<Answer<readonly KVEntry[]>> {
    const response = await this.http.request('GET', `/kv/${keyPath(prefix, 'prefix', true)}`, {
      ...options,
      query: { recurse: true, separator },
      accept: [404],
    });
    return response.with(entriesOf(response));
  }

  /** Writes an entry, whoever holds it. */
  set(key: string, value: Payload, { flags, ...options }: KVSetOptions = {}): Promise<boolean> {
    return this.put(key, value, { flags }, options);
  }

  /**
   * Writes an entry if it is still as it was read; index 0: if there is none.
   * @returns whether it was written
   */
  cas(key: string, value: Payload, options: KVSetOptions & { readonly index: ObjectIndex }): Promise<boolean> {
    const { index, flags, ...rest } = options;
    return this.put(key, value, { cas: indexOf(index), flags }, rest);
  }

  /**
   * Writes an entry and holds it with a session.
   * @returns whether it is held now: false when another session holds it or its delay isn't over
   */
  lock(key: string, value: Payload, options: KVSetOptions & { readonly session: ObjectId }): Promise<boolean> {
    const { session, flags, ...rest } = options;
    return this.put(key, value, { acquire: idOf(session, ['ID'], 'session'), flags }, rest);
  }

  /**
   * Writes an entry and lets it go.
   * @returns whether this session held it
   */
  unlock(key: string, value: Payload, options: KVSetOptions & { readonly session: ObjectId }): Promise<boolean> {
    const { session, flags, ...rest } = options;
    return this.put(key, value, { release: idOf(session, ['ID'], 'session'), flags }, rest);
  }

  /** Removes an entry; true also when there was none. */
  async delete(key: string, options?: ConsulCallOptions): Promise<boolean> {
    return (await this.http.request('DELETE', `/kv/${keyPath(key)}`, options)).flag();
  }

  /** Removes all entries whose keys begin with a prefix. A `separator` is sent, and servers ignore it here. */
  async deleteTree(
    prefix: string,
    { separator, ...options }: ConsulCallOptions & { readonly separator?: string } = {},
  ): Promise<boolean> {
    const path = `/kv/${keyPath(prefix, 'prefix', true)}`;
    return (await this.http.request('DELETE', path, { ...options, query: { recurse: true, separator } })).flag();
  }

  /**
   * Removes an entry if it is still as it was read.
   * @returns whether it was removed
   */
  async deleteCas(key: string, options: ConsulCallOptions & { readonly index: ObjectIndex }): Promise<boolean> {
    const { index, ...rest } = options;
    const query = { cas: indexOf(index) };
    return (await this.http.request('DELETE', `/kv/${keyPath(key)}`, { ...rest, query })).flag();
  }

  /** Begins a transaction. */
  prepare(): Transaction {
    return new Transaction(this.http, this.transactionLimit);
  }

  private async put(
    key: string,
    value: Payload,
    query: Readonly<Record<string, string | number | bigint | undefined>>,
    options: ConsulCallOptions,
  ): Promise<boolean> {
    const body = bytesOf(value);
    return (await this.http.request('PUT', `/kv/${keyPath(key)}`, { ...options, query, body })).flag();
  }
}

function entriesOf(response: ConsulResponse): readonly KVEntry[] {
  if (response.status === 404) return [];
  return response.list<RawKVEntry>(keepFlags).map(decodeEntry);
}
