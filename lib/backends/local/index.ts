import type { BackendDefinition } from '../../backend/index.js';
import { LocalBackend } from './local.backend.js';
import { resolveLocalOptions, type LocalOptions } from './local.options.js';

export { DiscoveryError } from '../../model/index.js';
export type { BackendDefinition } from '../../backend/index.js';
export type { LocalOptions } from './local.options.js';

/**
 * The embedded backend: registry, discovery and configuration among the processes of one user on one machine, through a
 * folder and without a server. For development, tests and single hosts.
 *
 * ```ts
 * DiscoveryModule.forRoot({ registry: local(), config: local({ configDirectory: './config' }) });
 * ```
 *
 * Opening it rejects with `BACKEND_REFUSED` when the directory isn't the user's own and closed to others.
 *
 * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME` or `INVALID_INSTANCE`, naming the field
 */
export function local(options: LocalOptions = {}): BackendDefinition {
  const settings = resolveLocalOptions(options);
  const definition: BackendDefinition = {
    kind: 'local',
    name: settings.name,
    hosts: [],
    create: (context) => new LocalBackend(settings, context),
  };
  return Object.freeze(definition);
}
