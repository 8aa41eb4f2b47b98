import { CONFIG_EXTENSIONS, entriesDocument, formatByExtension, layerNames } from '../../backend/index.js';
import {
  isPrototypeKey,
  nameProblem,
  DiscoveryError,
  describe,
  type ConfigDocument,
  type ConfigFormat,
} from '../../model/index.js';

/** A file of a configuration folder, before it became a layer. */
export interface ConfigFile {
  readonly format: ConfigFormat;
  /** What it is alone. Its id is the file's name with its extension. */
  readonly document: ConfigDocument;
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
  files: readonly ConfigFile[],
  application: string,
  profiles: readonly string[],
): readonly ConfigDocument[] {
  const structured = new Map<string, ConfigFile>();
  const plain: ConfigFile[] = [];
  for (const file of files) {
    if (file.format === 'text') plain.push(file);
    else structured.set(file.document.id, file);
  }
  const named = (base: string): readonly ConfigFile[] =>
    // Without an extension too: in memory, and nowhere else, a document may have a format and no extension.
    [base, ...CONFIG_EXTENSIONS.map((extension) => `${base}${extension}`)].flatMap((id) => structured.get(id) ?? []);
  const names = layerNames(application, profiles);
  const shared = new Set(layerNames('application', profiles));
  const documents = (own: boolean): readonly ConfigDocument[] =>
    names
      .filter((name) => shared.has(name) !== own)
      .flatMap(named)
      .map(({ document }) => document);
  const entries = entriesOf(plain);
  return [...documents(false), ...(entries === undefined ? [] : [entries]), ...documents(true)];
}

/** Whether a file of this name can be part of the layers of an application: what else there is need not be read. */
export function isLayerFile(id: string, application: string, profiles: readonly string[]): boolean {
  if (formatByExtension(id) === undefined) return true;
  return layerNames(application, profiles).includes(id.slice(0, id.lastIndexOf('.')));
}

function entriesOf(plain: readonly ConfigFile[]): ConfigDocument | undefined {
  const usable = plain
    .map(({ document }) => document)
    .filter(({ id }) => !isPrototypeKey(id))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const revision = usable.map((document) => `${document.id}=${document.revision}`).join('\n');
  return entriesDocument(
    PLAIN_FILES_ID,
    revision,
    usable.flatMap(({ id, content }) => ('text' in content ? [[id, content.text.trim()] as const] : [])),
  );
}
