import { describe, DiscoveryError, isPrototypeKey } from '../../model/index.js';
import type { ConfigData, ConfigEntry, EntrySink, OwnText } from './config-entry.js';

/** Keys of one document. */
const MAX_KEYS = 100_000;

/** Parts of one key, and lists and objects within each other. */
export const MAX_DEPTH = 100;

/** The entries of one document, within the limits. */
export class EntryCollector implements EntrySink {
  readonly entries = new Map<string, ConfigEntry>();

  /** @param id names the document in messages */
  constructor(private readonly id: string) {}

  put(key: string, entry: ConfigEntry): void {
    this.checkKey(key);
    if (this.entries.size >= MAX_KEYS) throw invalidDocument(this.id, `holds more than ${MAX_KEYS} keys`);
    this.entries.set(key, entry);
  }

  putObject(data: object, prefix = '', depth = 0): void {
    for (const [key, value] of Object.entries(data)) {
      const path = prefix === '' ? key : `${prefix}.${key}`;
      if (isPlainObject(value) && Object.keys(value).length > 0) {
        if (depth > MAX_DEPTH) this.checkKey(path);
        this.putObject(value, path, depth + 1);
      } else this.put(path, { value: this.freeze(path, value, 0) });
    }
  }

  checkName(name: string): void {
    if (isPrototypeKey(name)) throw this.reserved(name);
  }

  private checkKey(key: string): void {
    // Few keys have as many characters as a key may have parts.
    if (key.length > MAX_DEPTH && key.split('.', MAX_DEPTH + 1).length > MAX_DEPTH) {
      throw invalidDocument(this.id, `is nested deeper than ${MAX_DEPTH} at ${describe(key)}`, key);
    }
    if (!key.includes('proto') && !key.includes('constructor')) return;
    if (key.split('.').some(isPrototypeKey)) throw this.reserved(key);
  }

  private reserved(key: string): DiscoveryError {
    return invalidDocument(this.id, `has the key '${key}', which is reserved in JavaScript objects`, key);
  }

  /** Copies data of any parser into frozen data of our own. */
  private freeze(path: string, value: unknown, depth: number): ConfigData {
    if (depth > MAX_DEPTH)
      throw invalidDocument(this.id, `is nested deeper than ${MAX_DEPTH} at ${describe(path)}`, path);
    if (value === null || value === undefined) return null;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
    if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    if (value instanceof Date) return value.toISOString();
    if (value instanceof Uint8Array) return value;
    if (Array.isArray(value)) {
      return Object.freeze(value.map((item, index) => this.freeze(`${path}[${index}]`, item, depth + 1)));
    }
    if (isPlainObject(value)) {
      const copy = Object.create(null) as Record<string, ConfigData>;
      for (const [key, item] of Object.entries(value)) {
        this.checkKey(`${path}.${key}`);
        copy[key] = this.freeze(`${path}.${key}`, item, depth + 1);
      }
      return Object.freeze(copy);
    }
    throw invalidDocument(this.id, `has a value of an unknown kind at '${path}'`, path);
  }
}

/** The error of a document that can't be used. */
export function invalidDocument(id: string, problem: string, field?: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError('CONFIG_DOCUMENT_INVALID', `the configuration document '${id}' ${problem}`, {
    field: field ?? id,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The own text of a part of a value. */
export function ownTextAt(text: OwnText, step: string | number): OwnText {
  if (typeof text !== 'object') return undefined;
  return (text as Readonly<Record<string | number, OwnText>>)[step];
}

/** True for an object that holds keys and values. */
export function isPlainObject(value: unknown): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Date) &&
    !(value instanceof Uint8Array)
  );
}
