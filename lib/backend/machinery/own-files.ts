import type { Stats } from 'node:fs';

/**
 * Why a file or folder isn't this user's own, so that what it holds can't be believed; undefined when it is. Where the
 * system knows no users every one is.
 *
 * @param found not followed: a link that somebody else put there could be pointed elsewhere after the check
 * @param forbidden the permissions that others must not have. @default all
 */
export function strangersProblem(found: Stats, forbidden = 0o077): string | undefined {
  if (found.isSymbolicLink()) return 'is a symbolic link; name the place itself';
  const uid = process.getuid?.();
  if (uid === undefined) return undefined;
  if (found.uid !== uid) return `belongs to the user ${found.uid}, not to ${uid} who runs this; choose another one`;
  if ((found.mode & forbidden) === 0) return undefined;
  const mode = (found.mode & 0o777).toString(8);
  return `may be used by others (mode ${mode}); chmod 700 it, or choose another one`;
}
