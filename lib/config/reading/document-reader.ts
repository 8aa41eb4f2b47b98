import { DiscoveryError, messageOf, type ConfigDocument, type ConfigFormat } from '../../model/index.js';
import type { ConfigEntries, FormatReader } from './config-entry.js';
import { EntryCollector, invalidDocument, isPlainObject } from './entry-collector.js';
import { putIndexed } from './indexed-keys.js';
import { jsonReader } from './json-reader.js';
import { propertiesReader } from './properties-reader.js';
import { tomlReader } from './toml-reader.js';
import { yamlReader } from './yaml-reader.js';

/** A longer text is no configuration. */
const MAX_CHARACTERS = 10 * 1024 * 1024;

const READERS: Readonly<Record<Exclude<ConfigFormat, 'text'>, FormatReader>> = {
  yaml: yamlReader,
  json: jsonReader,
  properties: propertiesReader,
  toml: tomlReader,
};

/**
 * Reads a document: one part for each document of its text. Nested objects and dotted keys mean the same:
 * `checkout: { limit: 5 }` is `checkout.limit: 5`.
 *
 * @param format instead of the one that the document says it has
 * @throws DiscoveryError `CONFIG_DOCUMENT_INVALID` for bytes that are no text, a text that doesn't parse, a document that isn't a map of keys, a key
 * that would reach the prototype of objects (`field` names it), more than 10 million characters or 100,000 keys, and what is
 * nested deeper than 100
 */
export async function readDocument(document: ConfigDocument, format?: ConfigFormat): Promise<readonly ConfigEntries[]> {
  const { content, id } = document;
  const newSink = (): EntryCollector => new EntryCollector(id);
  if (content.format === 'entries') {
    const sink = newSink();
    attempt(id, 'entries', () => putIndexed(sink, Object.entries(content.entries)));
    return [sink.entries];
  }
  if (content.format === 'unreadable') throw invalidDocument(id, content.problem);
  const { text } = content;
  const readAs = format ?? content.format;
  if (text.length > MAX_CHARACTERS) throw invalidDocument(id, `is longer than ${MAX_CHARACTERS} characters`);
  if (readAs === 'text') {
    const sink = newSink();
    sink.put(id, { value: text, line: 1 });
    return [sink.entries];
  }
  // A byte order mark is no part of the text.
  const clean = text.replace(/^\ufeff/, '');
  if (clean.trim() === '') return [];
  try {
    return (await READERS[readAs].read(clean, newSink)).map(({ entries }) => entries);
  } catch (error) {
    throw readingError(id, readAs, error);
  }
}

/**
 * Data that was read already, as dotted keys and frozen values.
 *
 * @param id names the document in messages
 * @throws DiscoveryError as {@link readDocument}
 */
export function entriesOf(id: string, data: unknown): ConfigEntries {
  const sink = new EntryCollector(id);
  if (data === null || data === undefined) return sink.entries;
  if (!isPlainObject(data)) throw invalidDocument(id, 'must hold keys and values');
  sink.putObject(data);
  return sink.entries;
}

function attempt(id: string, format: string, read: () => void): void {
  try {
    read();
  } catch (error) {
    throw readingError(id, format, error);
  }
}

function readingError(id: string, format: string, error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  return invalidDocument(id, `doesn't parse as ${format}: ${messageOf(error).split('\n', 1)[0]}`, undefined, error);
}
