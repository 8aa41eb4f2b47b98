import type { ConfigDocument, ConfigFormat, ConfigScope, DiscoveryError } from '../../model/index.js';
import type { Watch } from './discovery-driver.js';

/**
 * What a configuration backend says of a scope: all its documents, those that win last, or that it could not ask.
 */
export type ConfigReport =
  | { readonly documents: readonly ConfigDocument[]; readonly error?: undefined }
  | { readonly error: DiscoveryError; readonly documents?: undefined };

/** Conditions of a {@link ConfigDriver.publish} or {@link ConfigDriver.remove}. */
export interface WriteOptions {
  /**
   * Only when the document still has this revision; `null`: only when it doesn't exist.
   * @throws DiscoveryError `CONFIG_CONFLICT` otherwise
   */
  readonly ifRevision?: string | null;
  /** What the content is, for backends that store it. */
  readonly format?: ConfigFormat;
  readonly signal?: AbortSignal;
}

/** A past version of a document. */
export interface ConfigRevision {
  readonly revision: string;
  /** Milliseconds since the epoch, when the backend knows. */
  readonly at?: number;
  /** Absent for a deletion. */
  readonly content?: string;
}

/** The configuration side of a backend. */
export interface ConfigDriver {
  readonly capabilities: {
    readonly publish: boolean;
    readonly compareAndSet: boolean;
  };
  /**
   * Keeps reporting the complete set of documents of `scope`: first after the initial load, as one report, then after
   * every change, also when one was deleted or the scope was empty. The rules of reporting are those of
   * {@link DiscoveryDriver.watch}.
   * @throws DiscoveryError `UNSUPPORTED` for a kind of scope that the product doesn't have
   */
  watch(scope: ConfigScope, report: (report: ConfigReport) => void): Watch;
  /** The format that a document of this name is read in, where its name or the backend's options say it. */
  formatOf?(id: string): ConfigFormat | undefined;
  /** One document, or undefined when there is none. */
  read(id: string, signal?: AbortSignal): Promise<ConfigDocument | undefined>;
  /** Creates or replaces a document; resolves with its new revision. */
  publish(id: string, content: string, options?: WriteOptions): Promise<string>;
  /** Removes a document; resolves with whether it was there. */
  remove(id: string, options?: WriteOptions): Promise<boolean>;
  /** The names of all documents below a prefix. */
  list?(prefix?: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** Past versions, newest first. */
  history?(id: string, signal?: AbortSignal): Promise<readonly ConfigRevision[]>;
}
