import { createHash } from 'node:crypto';
import { describe, DiscoveryError, nameProblem, type ConfigDocument, type ConfigFormat } from '../../model/index.js';

/** Extensions of documents that are parsed, in the order in which those of one name are merged: the later wins. */
export const CONFIG_EXTENSIONS: readonly string[] = ['.yaml', '.yml', '.json', '.toml', '.properties'];

const FORMATS: ReadonlyMap<string, ConfigFormat> = new Map([
  ['.yaml', 'yaml'],
  ['.yml', 'yaml'],
  ['.json', 'json'],
  ['.toml', 'toml'],
  ['.properties', 'properties'],
]);

/** The format that the extension of a document's id stands for, if it has one; a name that is all extension has none. */
export function formatByExtension(id: string): ConfigFormat | undefined {
  const name = id.slice(id.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? undefined : FORMATS.get(name.slice(dot).toLowerCase());
}

/**
 * The names of an application's layers, those that win last: what all share, that of each profile, the application's
 * own, that of each profile.
 */
export function layerNames(
  application: string,
  profiles: readonly string[],
  shared = 'application',
  separator = '-',
): readonly string[] {
  const names = [shared, application].flatMap((name) => [
    name,
    ...profiles.map((profile) => `${name}${separator}${profile}`),
  ]);
  return [...new Set(names)];
}

/**
 * Checks a document's id: names, perhaps with single slashes between them.
 * @throws DiscoveryError `INVALID_NAME`, naming `field`
 */
export function assertDocumentId(id: unknown, field = 'id'): asserts id is string {
  const problem = typeof id === 'string' ? id.split('/').map(nameProblem).find(Boolean) : 'must be a text';
  if (problem === undefined) return;
  throw new DiscoveryError('INVALID_NAME', `each part of ${field} ${problem}, got ${describe(id)}`, { field });
}

/**
 * Checks that a document is written in the format that it will be read in.
 * @throws DiscoveryError `INVALID_OPTION`, naming `format`
 */
export function assertFormat(id: string, format: ConfigFormat | undefined, actual: ConfigFormat): void {
  if (format === undefined || format === actual) return;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `${id} is read as ${actual}, not as ${format}; give it the extension of its format (${CONFIG_EXTENSIONS.join(', ')})`,
    { field: 'format' },
  );
}

/**
 * The error for a compare-and-set that met another revision.
 * @param present the revision that the document has; null: it doesn't exist; undefined: the server doesn't say
 */
export function conflict(
  backend: string,
  id: string,
  expected: string | null | undefined,
  present?: string | null,
  cause?: unknown,
): DiscoveryError {
  const there =
    present === undefined ? 'is another' : present === null ? "doesn't exist" : `has the revision ${describe(present)}`;
  const wanted = expected === null ? 'should not exist' : `should have ${describe(expected)}`;
  return new DiscoveryError('CONFIG_CONFLICT', `the document ${describe(id)} ${there} and ${wanted}; read it again`, {
    backend,
    field: 'ifRevision',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A document that is a text. */
export function textDocument(id: string, revision: string, format: ConfigFormat, text: string): ConfigDocument {
  return Object.freeze({ id, revision, content: Object.freeze({ format, text }) });
}

/**
 * A document that is kept as bytes: UTF-8, and properties that aren't are ISO-8859-1. Any other bytes are a document that can't be
 * read: whoever knows an earlier version keeps that.
 */
export function bytesDocument(id: string, revision: string, format: ConfigFormat, bytes: Uint8Array): ConfigDocument {
  // A byte order mark is no part of the text.
  const text =
    textOf(bytes)?.replace(/^\uFEFF/, '') ??
    (format === 'properties' ? Buffer.from(bytes).toString('latin1') : undefined);
  if (text !== undefined) return textDocument(id, revision, format, text);
  return Object.freeze({
    id,
    revision,
    content: Object.freeze({ format: 'unreadable', problem: 'is no text in UTF-8' }),
  });
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text that bytes are in UTF-8; undefined when they are none. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** A document that a store keeps as single values; undefined when there are none. */
export function entriesDocument(
  id: string,
  revision: string,
  values: Iterable<readonly [key: string, value: string]>,
): ConfigDocument | undefined {
  // Without a prototype: the keys come from outside.
  const entries = Object.create(null) as Record<string, string>;
  for (const [key, value] of values) entries[key] = value;
  if (Object.keys(entries).length === 0) return undefined;
  return Object.freeze({
    id,
    revision,
    content: Object.freeze({ format: 'entries' as const, entries: Object.freeze(entries) }),
  });
}

/** A digest for revisions: equal ones mean equal content. */
export function digestOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

/** `previous` when `next` has the same documents in the same revisions, to be read as the same formats. */
export function keepDocuments(
  previous: readonly ConfigDocument[],
  next: readonly ConfigDocument[],
): readonly ConfigDocument[] {
  const same =
    previous.length === next.length &&
    next.every(({ id, revision, content }, at) => {
      const before = previous[at];
      return id === before?.id && revision === before.revision && content.format === before.content.format;
    });
  return same ? previous : next;
}
