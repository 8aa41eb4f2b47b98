import {
  CONFIG_EXTENSIONS,
  entriesDocument,
  formatByExtension,
  layerNames,
  textDocument,
} from '../../backend/index.js';
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

/** What editors and writers leave beside the files that they save. */
const TEMPORARY = /^#|^\d{4,}$|(?:~|\.tmp|\.temp|\.swp|\.swx|\.swo|\.bak|\.orig|\.lock|___jb_(?:tmp|old)___)$/i;

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
    [base, ...CONFIG_EXTENSIONS.map((extension) => `${base}${extension}`)].flatMap((id) => structured.get(id) ?? []);
  const names = layerNames(application, profiles);
  const shared = new Set(layerNames('application', profiles));
  const documents = (own: boolean): readonly ConfigDocument[] =>
    names
      .filter((name) => shared.has(name) !== own)
      .flatMap(named)
      .map(toDocument);
  const entries = entriesOf(plain);
  return [...documents(false), ...(entries === undefined ? [] : [entries]), ...documents(true)];
}

/** Whether a file of this name can be part of the layers of an application: what else there is need not be read. */
export function isLayerFile(id: string, application: string, profiles: readonly string[]): boolean {
  if (formatByExtension(id) === undefined) return true;
  return layerNames(application, profiles).includes(id.slice(0, id.lastIndexOf('.')));
}

/** A file as the document that it is alone. */
export function toDocument(file: NamedText): ConfigDocument {
  return textDocument(file.id, file.revision, file.format, file.text);
}

function entriesOf(plain: readonly NamedText[]): ConfigDocument | undefined {
  const usable = plain.filter((file) => !isPrototypeKey(file.id)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const revision = usable.map((file) => `${file.id}=${file.revision}`).join('\n');
  return entriesDocument(
    PLAIN_FILES_ID,
    revision,
    usable.map((file) => [file.id, file.text.trim()] as const),
  );
}
