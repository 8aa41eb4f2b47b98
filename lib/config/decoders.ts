import { DiscoveryError, messageOf } from '../model/index.js';
import type { Property } from './config-layer.js';
import type { PropertyTree } from './property-tree.js';
import type { ConfigData } from './reading/index.js';

/** What a {@link ConfigDecoder} is told of the value. */
export interface DecodedValue {
  readonly key: string;
  /** Name of the document, where it stands in one. */
  readonly document: string | undefined;
}

/**
 * Turns values that begin with a prefix into what they stand for: `{cipher}…` into the text that was encrypted. Its answers are
 * secrets: they are masked wherever configuration is shown, and placeholders in them aren't read.
 */
export interface ConfigDecoder {
  /** What the values begin with that it is asked about. */
  readonly prefix: string;
  /**
   * @param text the value without the prefix
   * @throws anything; the configuration then stays as it was, and the error names the key
   */
  decode(text: string, value: DecodedValue): string | Promise<string>;
  /**
   * Tells when answers would be others now, as of files that rotate. Called once by each configuration that uses it.
   * @returns what ends it; what that gives is awaited
   */
  follow?(changed: () => void): () => unknown;
}

/**
 * Decodes what is encoded.
 * @throws DiscoveryError `CONFIG_VALUE_INVALID`, naming the key
 */
export async function decodeValues(tree: PropertyTree, decoders: readonly ConfigDecoder[]): Promise<PropertyTree> {
  if (decoders.length === 0) return tree;
  const changed = new Map<string, Property>();
  for (const property of tree.all) {
    if (!isEncoded(property.value, decoders)) continue;
    const { key, value: before, text, line, layer } = property;
    const value = await decoded(before, decoders, { key, document: layer.document });
    changed.set(key, { key, layer, line, value, source: { value: before, text, line }, secret: true });
  }
  return tree.with(changed);
}

function isEncoded(value: ConfigData, decoders: readonly ConfigDecoder[]): boolean {
  if (typeof value === 'string') return decoders.some(({ prefix }) => value.startsWith(prefix));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false;
  return Object.values(value).some((item) => isEncoded(item, decoders));
}

async function decoded(
  value: ConfigData,
  decoders: readonly ConfigDecoder[],
  about: DecodedValue,
): Promise<ConfigData> {
  if (typeof value === 'string') {
    const decoder = decoders.find(({ prefix }) => value.startsWith(prefix));
    if (decoder === undefined) return value;
    try {
      return await decoder.decode(value.slice(decoder.prefix.length), about);
    } catch (cause) {
      const problem = `'${about.key}' can't be decoded (${decoder.prefix}): ${messageOf(cause)}`;
      throw new DiscoveryError('CONFIG_VALUE_INVALID', problem, { field: about.key, cause });
    }
  }
  if (Array.isArray(value)) {
    const items: ConfigData[] = [];
    for (const item of value as readonly ConfigData[]) items.push(await decoded(item, decoders, about));
    return Object.freeze(items);
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const copy = Object.create(null) as Record<string, ConfigData>;
  for (const [name, item] of Object.entries(value)) copy[name] = await decoded(item, decoders, about);
  return Object.freeze(copy);
}
