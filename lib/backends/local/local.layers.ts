import {
  isPrototypeKey,
  nameProblem,
  DiscoveryError,
  describe,
  type ConfigDocument,
  type ConfigFormat,
} from '../../model/index.js';

/** A file or text of a configuration folder, before it became a layer. */
export interface NamedText {
  /** File name with its extension. */
  readonly id: string;
  readonly text: string;
  readonly format: ConfigFormat;
  /** Opaque; equal revisions mean equal content. */
  readonly revision: string;
}

/** The id of the one document that all plain files of a folder make up together. */
export const PLAIN_FILES_ID = 'plain files';

/** Extensions in the order in which files of one name are merged: the later wins. */
const EXTENSIONS: readonly (readonly [extension: string, format: ConfigFormat])[] = [
  ['.yaml', 'yaml'],
  ['.yml', 'yaml'],
  ['.json', 'json'],
  ['.properties', 'properties'],
];

/** What editors and writers leave beside the files that they save. */
const TEMPORARY = /^#|^\d{4,}$|(?:~|\.tmp|\.temp|\.swp|\.swx|\.swo|\.bak|\.orig|\.lock|___jb_(?:tmp|old)___)$/i;

/** The format that an id's extension stands for; undefined for a plain file. */
export function formatOfId(id: string): ConfigFormat | undefined {
  return EXTENSIONS.find(([extension]) => id.length > extension.length && id.endsWith(extension))?.[1];
}

/** True for hidden files and what editors write while they save: never configuration. */
export function isIgnoredFile(name: string): boolean {
  return name.startsWith('.') || TEMPORARY.test(name);
}

/**
 * Checks the name of a configuration document that is a file.
 *
 * @throws DiscoveryError `INVALID_NAME` for what is no file name, would leave the folder, or would never be read
 */
export function assertFileId(id: unknown): asserts id is string {
  const problem = nameProblem(id) ?? (isIgnoredFile(String(id)) ? 'must not be hidden or a temporary file' : undefined);
  if (problem !== undefined) {
    throw new DiscoveryError('INVALID_NAME', `the name of a configuration file ${problem}, got ${describe(id)}`, {
      field: 'id',
    });
  }
}

/**
 * The layers of one application, those that win last: `application.*`, `application-<profile>.*`, the plain files (one
 * document of entries: file name → trimmed content), `<application>.*`, `<application>-<profile>.*`.
 */
export function layersOf(
  files: readonly NamedText[],
  application: string,
  profiles: readonly string[],
): readonly ConfigDocument[] {
  const structured = new Map<string, NamedText>();
  const plain: NamedText[] = [];
  for (const file of files) {
    if (file.format === 'text') plain.push(file);
    else structured.set(file.id, file);
  }
  const named = (base: string): readonly NamedText[] =>
    // Without an extension too: in memory, and nowhere else, a document may have a format and no extension.
    [base, ...EXTENSIONS.map(([extension]) => `${base}${extension}`)].flatMap((id) => structured.get(id) ?? []);
  const unique = [...new Set(profiles)];
  const shared = ['application', ...unique.map((profile) => `application-${profile}`)];
  const own = [application, ...unique.map((profile) => `${application}-${profile}`)];
  const entries = entriesOf(plain);
  return [
    ...shared.flatMap(named).map(toDocument),
    ...(entries === undefined ? [] : [entries]),
    ...own
      .filter((base) => !shared.includes(base))
      .flatMap(named)
      .map(toDocument),
  ];
}

/** Whether a file of this name can be part of the layers of an application: what else there is need not be read. */
export function isLayerFile(id: string, application: string, profiles: readonly string[]): boolean {
  if (formatOfId(id) === undefined) return true;
  const base = id.slice(0, id.lastIndexOf('.'));
  return ['application', application].some(
    (name) => base === name || profiles.some((profile) => base === `${name}-${profile}`),
  );
}

/** A file as the document that it is alone. */
export function toDocument(file: NamedText): ConfigDocument {
  return Object.freeze({
    id: file.id,
    revision: file.revision,
    content: Object.freeze({ format: file.format, text: file.text }),
  });
}

function entriesOf(plain: readonly NamedText[]): ConfigDocument | undefined {
  const usable = plain.filter((file) => !isPrototypeKey(file.id)).sort((a, b) => (a.id < b.id ? -1 : 1));
  if (usable.length === 0) return undefined;
  const entries = Object.freeze(
    Object.assign(
      Object.create(null) as Record<string, string>,
      Object.fromEntries(usable.map((file) => [file.id, file.text.trim()])),
    ),
  );
  const revision = usable.map((file) => `${file.id}=${file.revision}`).join('\n');
  return Object.freeze({
    id: PLAIN_FILES_ID,
    revision,
    content: Object.freeze({ format: 'entries' as const, entries }),
  });
}
