/**
 * A value of a configuration: what JSON can say, and bytes (YAML's `!!binary`). Objects have no prototype; all but bytes is
 * frozen.
 */
export type ConfigData =
  null | string | number | boolean | Uint8Array | readonly ConfigData[] | { readonly [key: string]: ConfigData };

/**
 * The text that a scalar was written as, where another type was read from it: `000415` is a number, and was six digits to
 * whoever wrote it. Of a list or an object those of what it holds; undefined where the value says it all.
 */
export type OwnText = string | readonly (OwnText | undefined)[] | { readonly [key: string]: OwnText } | undefined;

/** One key's value as it stands in a document. */
export interface ConfigEntry {
  readonly value: ConfigData;
  readonly text?: OwnText;
  /** Where the value stands, counted from 1; undefined where the format or the backend doesn't say. */
  readonly line?: number | undefined;
}

/** Dotted keys, each with a value that isn't an object, unless it is an empty one. */
export type ConfigEntries = ReadonlyMap<string, ConfigEntry>;

/** What reads one format. */
export interface FormatReader {
  /**
   * The documents of a text, in their order.
   * @throws Error saying what is wrong, and where; DiscoveryError `CONFIG_DOCUMENT_INVALID` for what {@link EntrySink} refuses
   */
  read(text: string, newSink: () => EntrySink): Promise<readonly EntrySink[]>;
}

/** Takes the entries of one document. */
export interface EntrySink {
  readonly entries: ConfigEntries;
  /**
   * Takes a value, and refuses what no configuration may hold.
   * @throws DiscoveryError `CONFIG_DOCUMENT_INVALID`, naming the key
   */
  put(key: string, entry: ConfigEntry): void;
  /** Takes data that was read already: nested objects become dotted keys. */
  putObject(data: object): void;
  /** Refuses a name within a value that is an object, as {@link put} does with keys. */
  checkName(name: string): void;
}
