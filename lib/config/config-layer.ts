import type { ConfigEntries, ConfigEntry } from './reading/index.js';

/** What a layer of configuration is made of. */
export interface ConfigLayer {
  readonly kind: 'command-line' | 'environment' | 'document';
  readonly entries: ConfigEntries;
  /** Name of the backend that has the document. */
  readonly backend?: string;
  /** The document's name there. */
  readonly document?: string;
}

/** Where a value comes from. */
export interface ConfigOrigin {
  readonly kind: 'command-line' | 'environment' | 'document';
  /** Name of the backend; only of documents. */
  readonly backend?: string;
  /** The document's name; or the name of the environment variable, or the argument of the command line. */
  readonly name?: string;
  /** Counted from 1, where the format has lines. */
  readonly line?: number;
}

/** Where a value of a layer comes from. */
export function originOfLayer({ kind, backend, document }: ConfigLayer, line: number | undefined): ConfigOrigin {
  return Object.freeze({
    kind,
    ...(backend === undefined ? {} : { backend }),
    ...(document === undefined ? {} : { name: document }),
    ...(line === undefined ? {} : { line }),
  });
}

/** A key's value as it is in force. */
export interface Property extends ConfigEntry {
  /** As the document spells it that introduced the key. */
  readonly key: string;
  readonly layer: ConfigLayer;
  /** Set when placeholders in it or its encryption were resolved: what the layer holds. */
  readonly source?: ConfigEntry;
  /** The keys and variables whose placeholders in it have no value. */
  readonly unresolved?: readonly string[];
  /** It was decrypted, read from a file of secrets, or made of a value that was. */
  readonly secret?: boolean;
}
