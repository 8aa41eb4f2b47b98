import { asObject, digestOf, entriesDocument, textDocument } from '../../backend/index.js';
import { formatByExtension, type ConfigDocument } from '../../backend/index.js';
import { DiscoveryError, messageOf } from '../../model/index.js';

/** What a server has of an application. */
export interface Environment {
  /** Those that win last. */
  readonly documents: readonly ConfigDocument[];
  /** What it could not decrypt: the key, and the document that has it. */
  readonly undecrypted: readonly { readonly key: string; readonly document: string }[];
}

/** Conditions that the server has looked at: what it gives applies. */
const CONDITION = /^spring\.(?:profiles|config\.activate\.on-?(?:profile|cloud-?platform))(?:\[\d+\])?$/i;

/** What stands in the place of a value that the server could not decrypt, under a key that begins with `invalid.`. */
const UNDECRYPTED = '<n/a>';

/** The path of an application's configuration, or of a file with it. */
export function pathOf(
  application: string,
  profiles: readonly string[],
  label: string | undefined,
  file?: string,
): string {
  // The server's own way to write a slash within a part.
  const part = (name: string): string => encodeURIComponent(name.replaceAll('/', '(_)'));
  const profile = profiles.length === 0 ? 'default' : profiles.map(part).join(',');
  const path = `/${part(application)}/${profile}${label === undefined ? '' : `/${part(label)}`}`;
  if (file === undefined) return path;
  const query = label === undefined ? 'useDefaultLabel=true&' : '';
  return `${path}/${file.split('/').map(encodeURIComponent).join('/')}?${query}resolvePlaceholders=false`;
}

/**
 * The documents in a server's answer.
 * @throws DiscoveryError `BACKEND_UNAVAILABLE` for an answer that isn't a config server's
 */
export function readEnvironment(body: Buffer, what: string): Environment {
  const undecrypted: { key: string; document: string }[] = [];
  try {
    const { propertySources } = asObject(JSON.parse(decoded(body)), 'the answer');
    if (!Array.isArray(propertySources)) throw new Error('it has no propertySources');
    const names = new Map<string, number>();
    const documents = propertySources.flatMap((one: unknown) => {
      const { name, source } = asObject(one, 'a property source');
      if (typeof name !== 'string' || name === '') throw new Error('a property source has no name');
      const count = (names.get(name) ?? 0) + 1;
      names.set(name, count);
      const id = count === 1 ? name : `${name} (${count})`;
      const entries: [string, string][] = [];
      for (const [key, value] of Object.entries(asObject(source, `the property source ${name}`))) {
        if (value === UNDECRYPTED && key.startsWith('invalid.')) {
          undecrypted.push({ key: key.slice('invalid.'.length), document: id });
        } else if (!CONDITION.test(key)) entries.push([key, textOf(value, key)]);
      }
      return entriesDocument(id, digestOf(JSON.stringify(entries)), entries) ?? [];
    });
    return { documents: Object.freeze(documents.toReversed()), undecrypted };
  } catch (cause) {
    const problem = `${what} was answered with something that isn't a config server's: ${messageOf(cause).split('\n', 1)[0]}`;
    throw new DiscoveryError('BACKEND_UNAVAILABLE', problem, { cause });
  }
}

/** A file that the server has. @throws DiscoveryError `CONFIG_DOCUMENT_INVALID` for one that is no text */
export function readFile(id: string, body: Buffer): ConfigDocument {
  let content: string;
  try {
    content = decoded(body);
  } catch (cause) {
    const problem = `the configuration document '${id}' is no text in UTF-8`;
    throw new DiscoveryError('CONFIG_DOCUMENT_INVALID', problem, { field: id, cause });
  }
  return textDocument(id, digestOf(content), formatByExtension(id) ?? 'text', content);
}

function textOf(value: unknown, key: string): string {
  if (value === null) return '';
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new Error(`the value of ${key.slice(0, 100)} is neither a text nor a number`);
}

function decoded(body: Buffer): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(body);
}
