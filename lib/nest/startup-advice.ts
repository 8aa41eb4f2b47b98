import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { isLoopback, type BackendUse } from '../backend/index.js';
import type { ServiceOverrides } from '../discovery/index.js';
import { describe } from '../model/index.js';
import { methodOf } from './app-instances.js';

/** What an app's shutdown depends on. */
export interface ShutdownWiring {
  /** `enableGracefulShutdown` was called. */
  readonly isWired: boolean;
  readonly modules: ModulesContainer;
  /** The module whose `onModuleDestroy` takes the app out of service. */
  readonly own: Type;
}

/**
 * What is wrong with how the app will stop, in words that say what to write; undefined when all is well, and in tests,
 * where nobody waits for a signal.
 */
export function shutdownAdvice(wiring: ShutdownWiring, env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (wiring.isWired || env['NODE_ENV'] === 'test') return undefined;
  if (process.listenerCount('SIGTERM') === 0) {
    return (
      'nothing happens on SIGTERM, so this app will be killed without being taken out of its registries: ' +
      'write enableGracefulShutdown(app) in main.ts, before app.listen()'
    );
  }
  const early = destroyedBefore(wiring);
  if (early.length === 0) return undefined;
  return (
    `${early.join(', ')} will be destroyed while requests still come in: import DiscoveryModule last in the root module, ` +
    'or write enableGracefulShutdown(app) in main.ts instead of app.enableShutdownHooks()'
  );
}

/** How long a stop may take, for whoever configures what would end the process by force. */
export function stopDuration(totalTimeoutMs: number): string {
  const seconds = Math.ceil(totalTimeoutMs / 1000);
  return `a stop may take ${seconds} s: in Kubernetes terminationGracePeriodSeconds must be ${seconds + 2} or more`;
}

/** Whether the app registers anywhere that other machines read, as far as is known. */
export function isReadByOthers(uses: readonly BackendUse[]): boolean {
  return uses.some(({ register, definition: { hosts } }) => register && (hosts === undefined || hosts.length > 0));
}

/** Whether the app registers at a server that surely runs on another machine. */
export function registersElsewhere(uses: readonly BackendUse[]): boolean {
  return uses.some(
    ({ register, definition }) => register && definition.hosts?.some((host) => !isLoopback(host)) === true,
  );
}

/** Imported modules with providers that Nest destroys before the app is out of service. */
function destroyedBefore({ modules, own }: ShutdownWiring): readonly string[] {
  // Nest's own order: by the distance from the root, and the last imported first. The root's own providers are always
  // before everybody, and there is nothing in the imports to be done about it.
  const order = [...modules.values()].toSorted((a, b) => b.distance - a.distance).toReversed();
  const at = order.findIndex(({ metatype }) => metatype === own);
  return order
    .slice(0, Math.max(at, 0))
    .filter(({ distance, providers, controllers }) => {
      return distance > 1 && [...providers.values(), ...controllers.values()].some(hasDestroyHook);
    })
    .map(({ metatype }) => metatype.name);
}

function hasDestroyHook(wrapper: { readonly isNotMetatype: boolean; readonly instance: unknown }): boolean {
  const { isNotMetatype, instance } = wrapper;
  if (isNotMetatype || typeof instance !== 'object' || instance === null) return false;
  return methodOf(instance, 'onModuleDestroy') !== undefined;
}

/** Which services this app calls at other addresses than the registries say. */
export function overridesTold(overrides: ServiceOverrides): string {
  const each = overrides.names.map((name) => `${name} at ${overrides.urlsOf(name).join(' and ')}`);
  return `whatever the registries say, this app calls ${each.join(', ')} (overrides)`;
}

/** What is wrong with overrides that name a service nobody knows. */
export function unknownOverrides(unknown: readonly string[], known: readonly string[]): string {
  const each = unknown.map((name) => {
    const meant = known.find((one) => one.toLowerCase() === name.toLowerCase());
    return meant === undefined ? describe(name) : `${describe(name)} (there is ${describe(meant)})`;
  });
  return `overrides name ${each.join(', ')}, which no registry has and no client of this app calls`;
}
