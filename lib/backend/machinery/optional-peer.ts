import { codeOf, DiscoveryError, messageOf } from '../../model/index.js';

/**
 * What to throw when an npm package that only one backend, or one entry (`/terminus`), needs could not be imported:
 * `MISSING_PEER` with the command that installs it, or `PEER_UNUSABLE` for a package that is there and fails to load, with
 * its own error as the cause.
 *
 * The import itself is written where it is needed, `try { return await import('nats'); } catch (error) { throw
 * peerError('nats', 'nats', error); }`: bundlers see it, and as it stands in a `try` they warn of a package that an app
 * doesn't use, and don't fail.
 */
export function peerError(backend: string, packageName: string, error: unknown): DiscoveryError {
  const missing =
    ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(codeOf(error) ?? '') &&
    // In quotes, or in Yarn's words, stands what was not found; the path of who asked for it may hold the package's name too.
    [`'${packageName}'`, `'${packageName}/`, `tried to access ${packageName},`].some((words) =>
      messageOf(error).includes(words),
    );
  const isEntry = backend.startsWith('/');
  const who = isEntry ? `nestjs-service-discovery${backend}` : `the ${backend} backend`;
  return new DiscoveryError(
    missing ? 'MISSING_PEER' : 'PEER_UNUSABLE',
    missing
      ? `${who} needs the package ${packageName}: npm install ${packageName}`
      : `the package ${packageName}, which ${who} needs, could not be loaded: ${messageOf(error)}`,
    { ...(isEntry ? {} : { backend }), field: packageName, cause: error },
  );
}
