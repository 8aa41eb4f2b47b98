import { defined, DiscoveryError } from '../../../model/index.js';
import { ConsulError, isConsulError } from './errors.js';
import { decodeEntry, keepFlags, type KVEntry, type RawKVEntry } from './kv-entry.js';
import type { WriteAnswer } from './meta.js';
import type { ConsulCallOptions, ConsulRequests } from './requests.js';
import { bytesOf, idOf, indexOf, keyPath, type ObjectId, type ObjectIndex, type Payload } from './values.js';

/** An operation in the server's own words: `{ Service: { Verb: 'set', … } }`. */
export type TransactionOperation = Readonly<Partial<Record<'KV' | 'Node' | 'Service' | 'Check', object>>>;

/**
 * One result. Operations that remove or check give none, so places differ from those of the operations. `Value` is empty
 * unless the operation was `get` or `getTree`.
 */
export interface TransactionResult {
  readonly KV?: KVEntry;
  readonly Node?: object;
  readonly Service?: object;
  readonly Check?: object;
}

/** Options of a write in a transaction. */
export interface TransactionSetOptions {
  readonly flags?: number | bigint;
}

/** A chain of operations that is done as a whole or not at all. */
export class Transaction {
  private readonly operations: TransactionOperation[] = [];

  constructor(
    private readonly http: ConsulRequests,
    private readonly limit: number,
  ) {}

  /** How many operations it has. */
  get length(): number {
    return this.operations.length;
  }

  /** Writes an entry, whoever holds it. */
  set(key: string, value: Payload, options: TransactionSetOptions = {}): this {
    return this.write('set', key, value, options);
  }

  /** Writes an entry that is still as it was read; index 0: one that is not there. Else the transaction fails. */
  cas(key: string, value: Payload, options: TransactionSetOptions & { readonly index: ObjectIndex }): this {
    return this.write('cas', key, value, options, { Index: numeric(indexOf(options.index)) });
  }

  /** Writes an entry and holds it with a session. Fails the transaction when another holds it. */
  lock(key: string, value: Payload, options: TransactionSetOptions & { readonly session: ObjectId }): this {
    return this.write('lock', key, value, options, { Session: idOf(options.session, ['ID'], 'session') });
  }

  /** Writes an entry and lets it go. Fails the transaction when this session does not hold it. */
  unlock(key: string, value: Payload, options: TransactionSetOptions & { readonly session: ObjectId }): this {
    return this.write('unlock', key, value, options, { Session: idOf(options.session, ['ID'], 'session') });
  }

  /** Fails the transaction when there is no such key. */
  get(key: string): this {
    return this.kv('get', key);
  }

  /** As `get`, and an empty entry when there is none; since 1.14. */
  getOrEmpty(key: string): this {
    return this.kv('get-or-empty', key);
  }

  /** All entries whose keys begin with a prefix. */
  getTree(prefix: string): this {
    return this.kv('get-tree', prefix, {}, true);
  }

  /** Fails the transaction when the entry was changed since. */
  checkIndex(key: string, options: { readonly index: ObjectIndex }): this {
    return this.kv('check-index', key, { Index: numeric(indexOf(options.index)) });
  }

  /** Fails the transaction when this session doesn't hold the entry. */
  checkSession(key: string, options: { readonly session: ObjectId }): this {
    return this.kv('check-session', key, { Session: idOf(options.session, ['ID'], 'session') });
  }

  /** Fails the transaction when there is such a key. */
  checkNotExists(key: string): this {
    return this.kv('check-not-exists', key);
  }

  /** Removes an entry, if it is there. */
  delete(key: string): this {
    return this.kv('delete', key);
  }

  /** Removes all entries whose keys begin with a prefix. */
  deleteTree(prefix: string): this {
    return this.kv('delete-tree', prefix, {}, true);
  }

  /** Removes an entry that is still as it was read. Fails the transaction when it was changed; one that is gone is no failure. */
  deleteCas(key: string, options: { readonly index: ObjectIndex }): this {
    return this.kv('delete-cas', key, { Index: numeric(indexOf(options.index)) });
  }

  /** Any operation of the server's, such as those on nodes, services and checks. */
  operation(operation: TransactionOperation): this {
    return this.push(operation);
  }

  /**
   * Does it all. It may be done again.
   *
   * @throws ConsulError `transaction` with what was wrong, by operation: nothing is in force;
   * `unauthorized` when an operation needs more rights; `request` for what is too large
   */
  async execute(options?: ConsulCallOptions): Promise<WriteAnswer<readonly TransactionResult[]>> {
    try {
      const response = await this.http.request('PUT', '/txn', {
        ...options,
        body: this.body(),
        headers: { 'Content-Type': 'application/json' },
      });
      const { Results, Index, KnownLeader, LastContact } = response.object<RawResults>(keepFlags);
      if (Results !== null && !Array.isArray(Results)) {
        throw new ConsulError('protocol', 'PUT /v1/txn should have been answered with results', {
          operation: 'PUT /v1/txn',
        });
      }
      const results = ((Results ?? []) as Record<string, object>[]).map(decodeResult);
      // A transaction that only reads has its meta in the body, one that writes has none.
      if (Index === undefined) return response.written(results);
      const meta = { ...response.meta, Index: String(Index), KnownLeader: KnownLeader === true };
      return [results, { ...meta, LastContact: LastContact ?? 0 }];
    } catch (error) {
      if (!isConsulError(error, 'transaction')) throw error;
      const { message, operation, answer, errors } = error;
      if (!errors.some(({ What }) => /permission denied/i.test(What))) throw error;
      throw new ConsulError('unauthorized', message, { status: 409, operation, answer, cause: error });
    }
  }

  private write(verb: string, key: string, value: Payload, { flags }: TransactionSetOptions, more: object = {}): this {
    const Value = Buffer.from(bytesOf(value)).toString('base64');
    return this.kv(verb, key, { Value, ...defined({ Flags: flags }), ...more });
  }

  private kv(verb: string, key: string, more: object = {}, empty = false): this {
    // Checks the key as it does for the path of a request.
    keyPath(key, 'key', empty);
    return this.push({ KV: { Verb: verb, Key: key, ...more } });
  }

  private push(operation: TransactionOperation): this {
    if (this.operations.length >= this.limit) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        `a transaction has at most ${this.limit} operations, as the servers allow; do it in several, or none of it is sure`,
        { field: 'transaction', backend: 'consul' },
      );
    }
    this.operations.push(operation);
    return this;
  }

  private body(): string {
    const bigints: string[] = [];
    const json = JSON.stringify(this.operations, (_, value: unknown) => {
      if (typeof value !== 'bigint') return value;
      bigints.push(String(value));
      return `\u0000bigint ${bigints.length - 1}`;
    });
    // A text of the user's can't look like this: keys have no control characters, values are base64.
    return json.replace(/"\\u0000bigint (\d+)"/g, (_, at: string) => bigints[Number(at)] ?? '0');
  }
}

interface RawResults {
  readonly Results: unknown;
  readonly Index?: number;
  readonly KnownLeader?: boolean;
  readonly LastContact?: number;
}

function numeric(index: string): number | bigint {
  const number = Number(index);
  return Number.isSafeInteger(number) ? number : BigInt(index);
}

function decodeResult(result: Record<string, object>): TransactionResult {
  const { KV } = result;
  return KV === undefined ? result : { ...result, KV: decodeEntry(KV as RawKVEntry) };
}
