import { createHash } from 'node:crypto';
import {
  assertDocumentId,
  bytesDocument,
  digestOf,
  entriesDocument,
  formatByExtension,
  textOf,
} from '../../backend/index.js';
import {
  assertName,
  isPrototypeKey,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
} from '../../model/index.js';
import type { KVEntry } from './client/kv-entry.js';
import type { ConsulConfigOptions } from './consul.options.js';

/** How configuration lies in the store, after defaults. */
export type ConfigLayout = Required<ConsulConfigOptions>;

/** An entry that is no configuration, and why. */
export type SkipEntry = (key: string, problem: string) => void;

/** Something to watch, and the documents that its entries make up, those that win last. */
export interface ConfigPart {
  /** One key, or all keys that begin with a text. */
  readonly read: { readonly kind: 'key' | 'tree'; readonly key: string };
  documents(entries: readonly KVEntry[], skip: SkipEntry): readonly ConfigDocument[];
  /** Its documents are merged by their extension with those of the neighbours for which this is the same. */
  readonly byExtension?: string;
}

/** Extensions in the order in which documents of one name are merged: the later wins, as in Spring. */
const EXTENSIONS: readonly string[] = ['.yml', '.yaml', '.json', '.properties'];

/** What to watch for a scope, in the order in which the documents are merged. */
export function partsOf(scope: ConfigScope, layout: ConfigLayout): readonly ConfigPart[] {
  switch (scope.kind) {
    case 'application':
      return contextsOf(scope.application, scope.profiles, layout).map(({ path, profileOf }) => ({
        ...contextPart(path, layout),
        ...(layout.format === 'FILES' && profileOf !== undefined ? { byExtension: profileOf } : {}),
      }));
    case 'prefix':
      assertDocumentId(scope.prefix.replace(/\/$/, ''), 'prefix');
      return [layout.format === 'KEY_VALUE' ? entriesPart(scope.prefix) : filesPart(scope.prefix, layout)];
    case 'document':
      return [documentPart(scope.id, layout)];
  }
}

/** One document: a key, or with the layout KEY_VALUE a folder that ends with a slash. */
export function documentPart(id: string, layout: ConfigLayout): ConfigPart {
  const folder = layout.format === 'KEY_VALUE' && id.endsWith('/');
  assertDocumentId(folder ? id.slice(0, -1) : id, 'id');
  if (folder) return entriesPart(id);
  return {
    read: { kind: 'key', key: id },
    documents: (entries) => entries.map((entry) => documentOf(entry, layout)),
  };
}

/** The format that a key's document is read in. */
export function formatOf(key: string, layout: ConfigLayout): ConfigFormat {
  const name = key.slice(key.lastIndexOf('/') + 1);
  const byName = formatByExtension(name);
  if (byName !== undefined) return byName;
  if (name !== layout.dataKey) return 'text';
  return layout.format === 'YAML' ? 'yaml' : layout.format === 'PROPERTIES' ? 'properties' : 'text';
}

/** The bytes of a document. Properties are written in ASCII, which every reader of them understands. */
export function encodeText(text: string, format: ConfigFormat): Buffer {
  if (format !== 'properties') return Buffer.from(text, 'utf8');
  const ascii = text.replace(/[^\u0000-\u007f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return Buffer.from(ascii, 'latin1');
}

/** Changes with the content, also where a store that lost everything counts its indexes anew. */
export function revisionOf(index: number, value: Uint8Array): string {
  return `${index}-${createHash('sha256').update(value).digest('hex').slice(0, 16)}`;
}

/** The index in a revision, or undefined when it is none of ours. */
export function indexOfRevision(revision: string): string | undefined {
  return /^(\d{1,20})-[0-9a-f]{16}$/.exec(revision)?.[1];
}

/**
 * The documents of all parts, in the order in which they are merged. Of an application's profiles Spring takes first all
 * `.yml`, then all `.yaml` …
 */
export function inMergeOrder(
  parts: readonly ConfigPart[],
  documents: readonly (readonly ConfigDocument[])[],
): readonly ConfigDocument[] {
  const ordered: ConfigDocument[] = [];
  for (let at = 0; at < parts.length;) {
    const { byExtension } = parts[at] ?? {};
    let end = at + 1;
    while (byExtension !== undefined && parts[end]?.byExtension === byExtension) end += 1;
    const together = documents.slice(at, end).flat();
    ordered.push(...(end === at + 1 ? together : together.toSorted((a, b) => rankOf(a.id) - rankOf(b.id))));
    at = end;
  }
  return ordered;
}

/** A folder of an application, or the beginning of its files. */
interface Context {
  readonly path: string;
  /** The context without the profile, for one with a profile. */
  readonly profileOf?: string;
}

/** The contexts of an application, those that win last. */
function contextsOf(application: string, profiles: readonly string[], layout: ConfigLayout): readonly Context[] {
  const names = [layout.defaultContext, application];
  for (const name of names) assertName(name, 'application');
  for (const profile of profiles) assertName(profile, 'profiles');
  const contexts = layout.prefixes.flatMap((prefix) =>
    names.flatMap((name) => {
      const path = `${prefix}/${name}`;
      const withProfile = (profile: string): Context => ({
        path: `${path}${layout.profileSeparator}${profile}`,
        profileOf: path,
      });
      return [{ path }, ...profiles.map(withProfile)];
    }),
  );
  return [...new Map(contexts.map((context) => [context.path, context])).values()];
}

function contextPart(context: string, layout: ConfigLayout): ConfigPart {
  switch (layout.format) {
    case 'KEY_VALUE':
      return entriesPart(`${context}/`);
    case 'FILES':
      // The dot keeps `config/app.yml` apart from `config/app-dev.yml` and `config/apple.yml`.
      return filesPart(`${context}.`, layout, (key) =>
        EXTENSIONS.some((extension) => key === `${context}${extension}`),
      );
    default:
      return documentPart(`${context}/${layout.dataKey}`, layout);
  }
}

/** All keys below a prefix as one document. */
function entriesPart(prefix: string): ConfigPart {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  return {
    read: { kind: 'tree', key: prefix },
    documents: (all, skip) => {
      const entries = new Map<string, string>();
      for (const { Key, Value } of all) {
        const name = Key.slice(folder.length);
        // User interfaces make folders of keys that end with a slash.
        if (name === '' || name.endsWith('/')) continue;
        const text = textOf(Value);
        const path = name.replaceAll('/', '.');
        if (text === undefined) skip(Key, 'is no text');
        else if (path.split('.').some(isPrototypeKey)) skip(Key, 'is a reserved word of JavaScript objects');
        else entries.set(path, text);
      }
      const document = entriesDocument(prefix, digestOf(JSON.stringify([...entries])), entries);
      return document === undefined ? [] : [document];
    },
  };
}

/** Each key below a prefix as a document. */
function filesPart(prefix: string, layout: ConfigLayout, wanted: (key: string) => boolean = () => true): ConfigPart {
  return {
    read: { kind: 'tree', key: prefix },
    documents: (all) =>
      all
        .filter(({ Key }) => wanted(Key) && !Key.endsWith('/'))
        .sort((a, b) => rankOf(a.Key) - rankOf(b.Key) || (a.Key < b.Key ? -1 : 1))
        .map((entry) => documentOf(entry, layout)),
  };
}

function rankOf(key: string): number {
  return EXTENSIONS.findIndex((extension) => key.endsWith(extension));
}

function documentOf(entry: KVEntry, layout: ConfigLayout): ConfigDocument {
  const { Key, ModifyIndex, Value } = entry;
  return bytesDocument(Key, revisionOf(ModifyIndex, Value), formatOf(Key, layout), Value);
}
