/** An entry of the key/value store. */
export interface KVEntry {
  readonly Key: string;
  /** Empty for an entry without content. */
  readonly Value: Buffer;
  /** A number of the user's own, from 0 to 2^64 - 1; a bigint when a number can't hold it. */
  readonly Flags: number | bigint;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  /** How often it was locked; grows with every new holder. */
  readonly LockIndex: number;
  /** The session that holds it. */
  readonly Session?: string;
}

/** The entry in the server's JSON. */
export interface RawKVEntry {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: number | string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly LockIndex: number;
  readonly Session?: string;
}

/** Text of an answer with flags that a number can't hold, written so that nothing is lost. */
export function keepFlags(text: string): string {
  // Only between quotes that aren't escaped, so never inside a key.
  return /"Flags":\s*\d{16}/.test(text) ? text.replace(/"Flags":(\s*)(\d{16,20})/g, '"Flags":$1"$2"') : text;
}

/** An entry with decoded content. */
export function decodeEntry(raw: RawKVEntry): KVEntry {
  const { Value, Flags, ...rest } = raw;
  const flags = typeof Flags === 'string' ? BigInt(Flags) : Flags;
  return {
    ...rest,
    Flags: typeof flags === 'bigint' && flags <= Number.MAX_SAFE_INTEGER ? Number(flags) : flags,
    Value: Value === null ? Buffer.alloc(0) : Buffer.from(Value, 'base64'),
  };
}
