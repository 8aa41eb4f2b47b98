/** How a document's text is to be read. */
export type ConfigFormat = 'yaml' | 'json' | 'properties' | 'toml' | 'text';

/**
 * What a backend stores under one name. Either a text in a format, or entries that the backend keeps one by one
 * (`config/app/db.url` → `x`). Immutable.
 */
export interface ConfigDocument {
  /** The backend's own name for it: a file name, a key prefix, a data id. */
  readonly id: string;
  /** Opaque; equal revisions mean equal content. Given back for compare-and-set. */
  readonly revision: string;
  readonly content: ConfigContent;
}

/** A text to be parsed, or keys and values as they are; or bytes that are no text, and why. */
export type ConfigContent =
  | { readonly format: ConfigFormat; readonly text: string }
  | { readonly format: 'entries'; readonly entries: Readonly<Record<string, string>> }
  | { readonly format: 'unreadable'; readonly problem: string };

/** One thing to watch in a configuration backend. */
export type ConfigScope =
  /** The layers of one application: shared documents, its own, then those of its profiles. */
  | { readonly kind: 'application'; readonly application: string; readonly profiles: readonly string[] }
  /** Everything below a prefix. */
  | { readonly kind: 'prefix'; readonly prefix: string }
  /** One document. */
  | { readonly kind: 'document'; readonly id: string };
