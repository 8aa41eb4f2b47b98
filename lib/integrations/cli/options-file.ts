import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../../model/index.js';
import type { DiscoveryModuleOptions, NarrowedBackend, Registries } from '../../nest/index.js';
import { UsageError } from './command-io.js';

/** Whether what was given is a file, and no address of a backend. */
export function isOptionsFile(text: string | undefined): text is string {
  return text !== undefined && /\.(?:[cm]?[jt]s|json)$/.test(text) && !/^[a-z+]{2,}:/i.test(text);
}

/**
 * The options of an app, from the module that exports them (as its default, or as `options`) or from JSON.
 * @throws UsageError when it has none
 */
export async function optionsFile(path: string): Promise<DiscoveryModuleOptions> {
  let found: unknown;
  try {
    if (path.endsWith('.json')) found = JSON.parse(await readFile(path, 'utf8'));
    else {
      const url = pathToFileURL(resolve(path)).href;
      const module = (await import(url)) as { readonly default?: unknown; readonly options?: unknown };
      found = module.default ?? module.options;
    }
  } catch (error) {
    throw new UsageError(`${path} can't be read: ${messageOf(error)}`);
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found)) {
    throw new UsageError(`${path} has no options: export them as default`);
  }
  return found;
}

/** The registries of an app, none of which is registered in. */
export function readOnly(registry: Registries | undefined): Pick<DiscoveryModuleOptions, 'registry'> {
  if (registry === undefined) return {};
  const all = Array.isArray(registry) ? (registry as readonly Exclude<Registries, readonly unknown[]>[]) : [registry];
  return {
    registry: all.map((one): NarrowedBackend => {
      const narrowed = one as NarrowedBackend;
      return 'backend' in narrowed
        ? { ...narrowed, register: false }
        : { backend: one as NarrowedBackend['backend'], register: false };
    }),
  };
}
