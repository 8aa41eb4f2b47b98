import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import {
  checked,
  digestOf,
  FolderEvents,
  integerBetween,
  listOf,
  milliseconds,
  PeriodicTask,
  satisfying,
  systemClock,
  text,
  type Check,
} from '../../backend/index.js';
import { codeOf, DiscoveryError } from '../../model/index.js';
import type { ConfigDecoder } from '../decoders.js';
import { readSecretText } from './secret-text.js';

/** Options of {@link secretFiles}. */
export interface SecretFilesOptions {
  /** Absolute paths of the folders whose files may be read, with those in folders below. @default ['/run/secrets'] */
  readonly folders?: readonly string[];
  /** What the values begin with that name a file. @default 'file:' */
  readonly prefix?: string;
  /** A longer file is an error, in bytes. @default 65536 */
  readonly maxBytes?: number;
  /**
   * How often the files that were used are looked at, besides when the file system tells of a change, in milliseconds.
   * @default 30000
   */
  readonly pollMs?: number;
}

const CHECKS: Readonly<Record<keyof SecretFilesOptions, Check>> = {
  folders: listOf(satisfying('an absolute path', (value) => typeof value === 'string' && isAbsolute(value))),
  prefix: text,
  maxBytes: integerBetween(1, 2 ** 24),
  pollMs: milliseconds(50),
};

const DEFAULTS = {
  folders: ['/run/secrets'],
  prefix: 'file:',
  maxBytes: 65_536,
  pollMs: 30_000,
} satisfies SecretFilesOptions;

/** A look at the files that takes longer has failed, in milliseconds: a network file system may hang. */
const TIMEOUT_MS = 10_000;

/**
 * Secrets in files, as Docker and Kubernetes mount them: the value `file:/run/secrets/db` stands for the text of that file,
 * without the line feed at its end. Nothing outside the folders is read, wherever links lead; a file that changes, or that
 * Kubernetes replaces, is read anew.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function secretFiles(options: SecretFilesOptions = {}): ConfigDecoder {
  const { folders, prefix, maxBytes, pollMs } = checked('secretFiles()', options, CHECKS, DEFAULTS);
  /** What each file held when it was last read: a digest, or why it could not be. */
  const known = new Map<string, string>();

  const read = async (path: string): Promise<string> => {
    const folder = folders.find((one) => isInside(path, one));
    if (folder === undefined) throw outside(path, folders);
    // The folder itself may be reached by a link; what its files lead to may not leave it.
    const [real, root] = await Promise.all([realpath(path), realpath(folder)]);
    if (!isInside(real, root)) throw outside(path, folders);
    return readSecretText(real, maxBytes);
  };
  const look = async (path: string): Promise<string> => {
    try {
      return digestOf(await read(path));
    } catch (error) {
      return codeOf(error) ?? 'failed';
    }
  };

  return {
    prefix,
    async decode(given) {
      const path = resolve('/', given.replace(/^\/\/(?=\/)/, ''));
      try {
        const secret = await read(path);
        known.set(path, digestOf(secret));
        return secret;
      } catch (error) {
        if (error instanceof DiscoveryError) throw error;
        const code = codeOf(error);
        known.set(path, code ?? 'failed');
        // Node's messages are no better than its codes; ours have nothing of the file's text.
        const problem = code === undefined && error instanceof Error ? error.message : `can't be read: ${code ?? ''}`;
        throw new Error(`${path} ${problem}`, { cause: error });
      }
    },
    follow(changed) {
      const events = new Map<string, FolderEvents>();
      const task = new PeriodicTask({
        clock: systemClock,
        what: 'the look at files of secrets',
        intervalMs: () => pollMs,
        timeoutMs: () => TIMEOUT_MS,
        onError: () => {},
        run: async () => {
          for (const path of known.keys()) {
            const folder = dirname(path);
            if (!events.has(folder))
              events.set(folder, new FolderEvents(folder, () => void task.trigger().catch(() => {})));
          }
          await Promise.all([...events.values()].map((one) => one.arm()));
          const looks = [...known].map(async ([path, before]) => {
            const now = await look(path);
            // One that was read meanwhile is newer.
            if (now === before || known.get(path) !== before) return false;
            known.set(path, now);
            return true;
          });
          if ((await Promise.all(looks)).includes(true)) changed();
        },
      });
      task.start('now');
      return async () => {
        for (const one of events.values()) one.close();
        await task.stop();
        for (const one of events.values()) one.close();
      };
    },
  };
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function outside(path: string, folders: readonly string[]): DiscoveryError {
  const problem = `${path} isn't in ${folders.join(', ')}: secretFiles() reads no files elsewhere`;
  return new DiscoveryError('CONFIG_VALUE_INVALID', problem);
}
