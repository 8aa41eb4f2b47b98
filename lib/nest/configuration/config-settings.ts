import { commandLineLayers, EnvironmentLayer, variableOf, type ConfigStoreOptions } from '../../config/index.js';
import type { ResolvedOptions } from '../resolve-options.js';

/** What the options say of configuration: its layers, and what placeholders find besides its keys. */
export function configSettings({
  application,
  profiles,
  config,
}: ResolvedOptions): Omit<ConfigStoreOptions, 'clock' | 'sources' | 'snapshots' | 'report'> {
  const { environment, commandLine, layers, documents, decoders, optional, loadTimeoutMs, debounceMs } = config;
  const variables = environment === undefined ? undefined : new EnvironmentLayer(environment);
  // What Spring's documents refer to.
  const own = new Map([
    ['spring.application.name', application],
    ['service.name', application],
    ['spring.profiles.active', profiles.join(',')],
  ]);
  return {
    scope: layers ? { kind: 'application', application, profiles } : undefined,
    documents,
    decoders,
    conditions: {
      profiles,
      platform: environment?.['KUBERNETES_SERVICE_HOST'] === undefined ? undefined : 'kubernetes',
    },
    above: [...(variables?.layers ?? []), ...commandLineLayers(commandLine)],
    ...(variables === undefined ? {} : { variables: variables.find }),
    placeholders: (name) => own.get(name) ?? (environment === undefined ? undefined : variableOf(environment, name)),
    optional,
    loadTimeoutMs,
    debounceMs,
  };
}
