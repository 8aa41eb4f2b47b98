import { codeOf, DiscoveryError, messageOf } from '../../model/index.js';

/**
 * Loads an npm package that only one backend needs. Pass a literal `() => import('nats')`, so that bundlers and strict
 * package managers see it.
 *
 * @throws DiscoveryError `MISSING_PEER` with the command that installs it; a package that is there but fails to load
 * keeps its own error as the cause
 */
export async function loadOptionalPeer<T>(backend: string, packageName: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const missing =
      ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(codeOf(error) ?? '') &&
      // In quotes stands what was not found; the path of who asked for it may hold the package's name too.
      (messageOf(error).includes(`'${packageName}'`) || messageOf(error).includes(`'${packageName}/`));
    throw new DiscoveryError(
      'MISSING_PEER',
      missing
        ? `the ${backend} backend needs the package ${packageName}: npm install ${packageName}`
        : `the package ${packageName}, which the ${backend} backend needs, could not be loaded: ${messageOf(error)}`,
      { backend, field: packageName, cause: error },
    );
  }
}
